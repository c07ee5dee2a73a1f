"""The run: steps in order, a log, checkpoints, validation, and at the end the model. Killed anywhere, it goes on exactly."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from earthsynth_factory.errors import InputError, Interrupted, ModelError, StoreError
from earthsynth_factory.io.atomic import json_bytes, write_changed
from earthsynth_factory.io.claim import claimed
from earthsynth_factory.io.signals import stop_on_signals
from earthsynth_factory.models.device import pick_device
from earthsynth_factory.recipe.fingerprint import decisive
from earthsynth_factory.training import checkpoint
from earthsynth_factory.training.controlnet.cache import part_hash
from earthsynth_factory.training.controlnet.dataset import TrainingDataset
from earthsynth_factory.training.controlnet.distributed import process_group
from earthsynth_factory.training.controlnet.export import export_model, how_to_use
from earthsynth_factory.training.controlnet.reporting import Log, Sink, TrainingDisplay, open_trackers
from earthsynth_factory.training.controlnet.setup import TrainingSetup, open_run
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe
from earthsynth_factory.training.controlnet.trainer import StepResult
from earthsynth_factory.training.controlnet.validation import Validation, ValidationResult, read_result

FOLDERS = ("checkpoints", "validation", "model", "model/lora", "bad", "cache", "cache/latents/*", "cache/prompts/*")
"""What a run writes into."""

FACTS = {"position", "skipped", "bad", "recipe", "data"}
"""What a checkpoint of this trainer says of itself."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come. position: real samples seen by all processes; bad: steps in a row that were skipped."""

    step: int = 0
    position: int = 0
    seconds: float = 0.0
    skipped: int = 0
    bad: int = 0


def train_controlnet(
    recipe: ControlNetRecipe, recipe_folder: Path, out: Path, resume: bool = False, export_only: bool = False
) -> Path:
    """Trains into `out` and gives the folder of the model.

    recipe_folder: where the recipe's relative paths start. Raises Interrupted when stopped (go on with `resume`),
    StoreError if `out` holds another run, or none and `resume` is asked for, and the errors of what is opened.
    """
    with (
        process_group(pick_device(recipe.run.device)) as team,
        claimed(out, "train", {}, folders=FOLDERS, ours=_holds_run(out)) if team.leads else nullcontext() as claim,
        TrainingDisplay(recipe.optim.steps, shown=team.leads) as display,
    ):
        _check_folder(out, resume or export_only)
        if claim is not None:
            claim.begin()  # first of all: by it a killed training is known for ours
        setup = open_run(recipe, recipe_folder, out, team, display.prepare)
        for note in (team_note(recipe, team.world), *setup.notes):
            display.say(note)
        run = _Run(setup, out, display)
        progress = run.resume() if resume or export_only else Progress()
        if claim is not None:
            write_changed(out / "recipe.json", json_bytes(recipe.model_dump(mode="json")))
        try:
            done, result = (progress, read_result(out, progress.step)) if export_only else run.go_on(progress)
        finally:
            setup.trainer.loader.close()
        if team.leads:
            export_model(setup, out, done.step, result)
            display.say(f"build with it:  synthesis: {{{how_to_use(setup, str((out / 'model').resolve()))}}}")
        team.wait()
    return out / "model"


class _Run:
    def __init__(self, setup: TrainingSetup, out: Path, display: TrainingDisplay) -> None:
        self.setup, self.out, self.display = setup, out, display
        self.recipe, self.trainer, self.team = setup.recipe, setup.trainer, setup.trainer.team
        self.folder = out / "checkpoints"
        self._saved = -1
        self._data = data_digest(setup.dataset)

    def go_on(self, progress: Progress) -> tuple[Progress, ValidationResult | None]:
        """Steps to the end. Raises Interrupted on SIGINT and SIGTERM, with a checkpoint written."""
        spec, steps = self.recipe, self.recipe.optim.steps
        result: ValidationResult | None = None
        with self._sinks() as sinks, stop_on_signals() as stopped, Log(self.out, progress.step, self.team.leads) as log:
            started, first = time.monotonic() - progress.seconds, progress
            stop = False
            while progress.step < steps and not stop:
                outcome = self.trainer.step(progress.step, progress.position)
                sums = self.team.total([*outcome.losses.values(), float(stopped.is_set())])
                stop = sums[-1] > 0
                outcome = replace(
                    outcome, losses={n: s / self.team.world for n, s in zip(outcome.losses, sums, strict=False)}
                )
                progress = self._after(progress, outcome, time.monotonic() - started)
                log.write(progress.step, self._numbers(progress, outcome), self._choices() if spec.cf_comp.log else ())
                self._report(progress, first, outcome, sinks)
                if progress.step % spec.run.save_every == 0 or progress.step == steps or stop:
                    self._save(progress)
                if progress.step % spec.validation.every == 0 or progress.step == steps:
                    result = self._validate(progress.step, sinks)
            if progress == first and self.team.leads:  # all steps were made before, but perhaps not validated
                result = read_result(self.out, progress.step) or self._measure(progress.step, sinks)
        if stop and progress.step < steps:
            raise Interrupted(f"stopped at step {progress.step} of {steps}; the same command with --resume goes on")
        return progress, result

    def resume(self) -> Progress:
        """The newest checkpoint's standing, its tensors loaded. Raises StoreError if it is of another run."""
        found = checkpoint.latest(self.folder)
        if found is None:
            raise StoreError(f"{self.folder}: no checkpoint to go on from; leave --resume out to begin")
        facts = found.facts
        if not facts.keys() >= FACTS:
            raise ModelError(f"{self.folder}: step {found.step} is no checkpoint of this trainer; remove it")
        differ = [*differences(facts["recipe"], decisive(self.recipe))]
        known = {
            name: facts[name] for name in ("world", "base") if name in facts
        }  # checkpoints of older versions lack them
        differ += differences(known, {name: self._surroundings()[name] for name in known})
        if facts["data"] != self._data and not any(line.startswith(("seed:", "data.")) for line in differ):
            differ.append("data: the dataset's images, masks or texts have changed")
        if differ:
            listed = "\n".join(f"  {line}" for line in differ)
            raise StoreError(f"{self.folder}: was trained otherwise; set back, or choose another --out:\n{listed}")
        self.trainer.load(found.tensors)
        self._saved = found.step
        return Progress(found.step, facts["position"], found.seconds, facts["skipped"], facts["bad"])

    def _surroundings(self) -> dict[str, Any]:
        """What else decides the steps: how many processes share them, and the frozen weights."""
        files = self.setup.base.files
        parts = {"unet": files.unet, "vae": files.vae, "text encoder": files.text}
        return {"world": self.team.world, "base": {name: part_hash(part) for name, part in parts.items()}}

    def _after(self, before: Progress, outcome: StepResult, seconds: float) -> Progress:
        """The standing after a step. Raises InputError if too many in a row came to nothing."""
        bad = before.bad + 1 if outcome.fault else 0
        after = Progress(
            step=before.step + 1,
            position=before.position + self.trainer.stride,
            seconds=seconds,
            skipped=before.skipped + bool(outcome.fault),
            bad=bad,
        )
        if outcome.fault:
            self.display.say(f"step {after.step} is skipped: {outcome.fault}")
        if bad > self.recipe.run.max_bad_steps:
            path = self._keep_batch(before)
            raise InputError(
                f"step {after.step}: {outcome.fault}; {bad} steps in a row were skipped and the batch is kept in {path}. "
                "Lower optim.lr, which begins anew in another --out, or go on with --resume --set run.precision=float32"
            )
        return after

    def _keep_batch(self, progress: Progress) -> Path:
        """The inputs of the step's first pass, for inspection."""
        prepared = self.trainer.loader.get(progress.position)
        inputs = self.trainer.inputs(prepared)
        path = self.out / "bad" / f"step-{progress.step + 1:08d}-process-{self.team.rank}.safetensors"
        tensors = {name: getattr(inputs, name).cpu() for name in ("latents", "noise", "levels", "words", "control")}
        checkpoint.write_tensors(
            path,
            tensors | {"masks": torch.from_numpy(prepared.batch.masks)},
            {"prompts": prepared.batch.prompts, "samples": self._names(prepared.batch.picks)},
        )
        return path

    def _names(self, picks: Any) -> list[str]:
        return [self.setup.dataset.samples[pick].mask.stem for pick in picks]

    def _numbers(self, progress: Progress, outcome: StepResult) -> dict[str, float]:
        rate = self.trainer.rate(progress.step - 1)
        return {**outcome.losses, "norm": outcome.norm, "lr": rate, "skipped": progress.skipped}

    def _choices(self) -> list[dict[str, object]]:
        return [choice for batch in self.trainer.seen for choice in batch.choices(self.setup.dataset)]

    def _report(self, progress: Progress, first: Progress, outcome: StepResult, sinks: list[Sink]) -> None:
        if progress.step % self.recipe.run.report_every and progress.step != self.recipe.optim.steps:
            return
        spent = max(progress.seconds - first.seconds, 1e-9)
        samples = self.recipe.optim.batch * self.recipe.optim.accumulate * self.team.world
        rate = (progress.step - first.step) * samples / spent
        starved = self.trainer.loader.waited / spent
        self.display.step(progress.step, outcome.losses["loss"], rate, progress.skipped, starved)
        numbers = {f"train/{name}": value for name, value in outcome.losses.items()}
        for sink in sinks:
            sink.log(progress.step, {**numbers, "train/norm": outcome.norm, "train/samples per second": rate})

    def _save(self, progress: Progress) -> None:
        if self.team.leads and progress.step != self._saved:
            facts = {
                "position": progress.position,
                "skipped": progress.skipped,
                "bad": progress.bad,
                "recipe": decisive(self.recipe),
                "data": self._data,
                **self._surroundings(),
            }
            kept = checkpoint.Checkpoint(progress.step, progress.seconds, self.trainer.state(), facts)
            checkpoint.save(self.folder, kept, self.recipe.run.keep)
        self._saved = progress.step
        self.team.wait()

    def _validate(self, step: int, sinks: list[Sink]) -> ValidationResult | None:
        """The first process measures, the others wait."""
        result = self._measure(step, sinks) if self.team.leads else None
        self.team.wait()
        return result

    def _measure(self, step: int, sinks: list[Sink]) -> ValidationResult:
        result = Validation(self.setup, self.out).measure(step)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in result.numbers.items() if "," not in name)
        if shown:
            self.display.say(f"step {step}: {shown}")
        for sink in sinks:
            sink.log(step, {f"validation/{name}": value for name, value in result.numbers.items()})
        return result

    @contextmanager
    def _sinks(self) -> Iterator[list[Sink]]:
        names = self.recipe.run.trackers if self.team.leads else ()
        sinks, notes = open_trackers(names, self.out, self.recipe.name)
        for note in notes:
            self.display.say(note)
        try:
            yield sinks
        finally:
            for sink in sinks:
                sink.close()


def team_note(recipe: ControlNetRecipe, world: int) -> str:
    """How many processes train, which a launcher does not always say, and what a step holds."""
    samples = recipe.optim.batch * recipe.optim.accumulate * world
    return f"{world} process{'es' if world > 1 else ''}, {samples} samples a step"


def _check_folder(out: Path, go_on: bool) -> None:
    held = _holds_run(out)
    if held and not go_on:
        raise StoreError(f"{out}: holds a run already; add --resume to go on with it, or choose another --out")
    if go_on and not held:
        raise StoreError(f"{out / 'checkpoints'}: no checkpoint to go on from; leave --resume out to begin")


def _holds_run(out: Path) -> bool:
    return any((out / "checkpoints").glob("step-*.safetensors"))


def data_digest(dataset: TrainingDataset) -> str:
    """A hash over what is learnt from: images, categories and texts, in order."""
    digest = hashlib.blake2b(digest_size=8)
    for sample in dataset.samples:
        digest.update(repr((sample.digest, sample.mask.name, sample.ids, sample.text)).encode())
    return digest.hexdigest()


def differences(stored: Any, given: Any, path: str = "") -> Iterator[str]:
    """A line for each value that differs: `optim.lr: 1e-05 there, 0.001 now`."""
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in sorted({*stored, *given}):
            yield from differences(stored.get(key), given.get(key), f"{path}.{key}" if path else key)
    elif stored != json.loads(json.dumps(given)):
        yield f"{path}: {stored!r} there, {given!r} now"
