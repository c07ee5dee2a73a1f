"""The run: steps in order, a log, checkpoints, looks, and at the end the model. Killed anywhere, it goes on exactly."""

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
from earthsynth_factory.training.controlnet.dataset import Dataset
from earthsynth_factory.training.controlnet.distributed import joined
from earthsynth_factory.training.controlnet.export import export_model, how_to_use
from earthsynth_factory.training.controlnet.log import Log
from earthsynth_factory.training.controlnet.progress import TrainProgress
from earthsynth_factory.training.controlnet.setup import Opened, open_run
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe
from earthsynth_factory.training.controlnet.trackers import Sink, open_trackers
from earthsynth_factory.training.controlnet.trainer import Outcome
from earthsynth_factory.training.controlnet.validation import Validation
from earthsynth_factory.training.controlnet.validation_result import Look, kept_look

FOLDERS = ("checkpoints", "validation", "model", "bad")
"""What a run writes into."""

FACTS = {"position", "skipped", "bad", "recipe", "data"}
"""What a checkpoint of this trainer says of itself."""


@dataclass(frozen=True, slots=True)
class Standing:
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
    StoreError where `out` holds another run, or none and `resume` is asked for, and the errors of what is opened.
    """
    with (
        joined(pick_device(recipe.run.device)) as team,
        claimed(out, "train", {}, folders=FOLDERS, ours=_holds_run(out)) if team.leads else nullcontext() as claim,
        TrainProgress(recipe.optim.steps, shown=team.leads) as progress,
    ):
        _check_folder(out, resume or export_only)
        opened = open_run(recipe, recipe_folder, out, team, progress.prepare)
        for note in (team_note(recipe, team.world), *opened.notes):
            progress.say(note)
        run = _Run(opened, out, progress)
        standing = run.resume() if resume or export_only else Standing()
        if claim is not None:
            claim.begin()
            write_changed(out / "recipe.json", json_bytes(recipe.model_dump(mode="json")))
        try:
            done, look = (standing, kept_look(out, standing.step)) if export_only else run.go_on(standing)
        finally:
            opened.stage.loader.close()
        if team.leads:
            export_model(opened, out, done.step, look)
            progress.say(f"build with it:  synthesis: {{{how_to_use(opened, str((out / 'model').resolve()))}}}")
        team.wait()
    return out / "model"


class _Run:
    def __init__(self, opened: Opened, out: Path, progress: TrainProgress) -> None:
        self.opened, self.out, self.progress = opened, out, progress
        self.recipe, self.stage, self.team = opened.recipe, opened.stage, opened.stage.team
        self.folder = out / "checkpoints"
        self._saved = -1
        self._data = data_digest(opened.dataset)

    def go_on(self, standing: Standing) -> tuple[Standing, Look | None]:
        """Steps to the end. Raises Interrupted on SIGINT and SIGTERM, with a checkpoint written."""
        spec, steps = self.recipe, self.recipe.optim.steps
        look: Look | None = None
        with self._sinks() as sinks, stop_on_signals() as stopped, Log(self.out, standing.step, self.team.leads) as log:
            started, first = time.monotonic() - standing.seconds, standing
            stop = False
            while standing.step < steps and not stop:
                outcome = self.stage.step(standing.step, standing.position)
                sums = self.team.total([*outcome.losses.values(), float(stopped.is_set())])
                stop = sums[-1] > 0
                outcome = replace(
                    outcome, losses={n: s / self.team.world for n, s in zip(outcome.losses, sums, strict=False)}
                )
                standing = self._after(standing, outcome, time.monotonic() - started)
                log.write(standing.step, self._numbers(standing, outcome), self._choices() if spec.cf_comp.log else ())
                self._report(standing, first, outcome, sinks)
                if standing.step % spec.run.save_every == 0 or standing.step == steps or stop:
                    self._save(standing)
                if standing.step % spec.validation.every == 0 or standing.step == steps:
                    look = self._look(standing.step, sinks)
            if standing == first and self.team.leads:  # all steps were made before, but perhaps not the last look
                look = kept_look(self.out, standing.step) or self._take(standing.step, sinks)
        if stop and standing.step < steps:
            raise Interrupted(f"stopped at step {standing.step} of {steps}; the same command with --resume goes on")
        return standing, look

    def resume(self) -> Standing:
        """The newest checkpoint's standing, its tensors loaded. Raises StoreError where it is of another run."""
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
            told = "\n".join(f"  {line}" for line in differ)
            raise StoreError(f"{self.folder}: was trained otherwise; set back, or choose another --out:\n{told}")
        self.stage.load(found.tensors)
        self._saved = found.step
        return Standing(found.step, facts["position"], found.seconds, facts["skipped"], facts["bad"])

    def _surroundings(self) -> dict[str, Any]:
        """What else decides the steps: how many processes share them, and the frozen weights."""
        files = self.opened.base.files
        parts = {"unet": files.unet, "vae": files.vae, "text encoder": files.text}
        return {"world": self.team.world, "base": {name: part_hash(part) for name, part in parts.items()}}

    def _after(self, before: Standing, outcome: Outcome, seconds: float) -> Standing:
        """The standing after a step. Raises InputError where too many in a row came to nothing."""
        bad = before.bad + 1 if outcome.fault else 0
        after = Standing(
            step=before.step + 1,
            position=before.position + self.stage.stride,
            seconds=seconds,
            skipped=before.skipped + bool(outcome.fault),
            bad=bad,
        )
        if outcome.fault:
            self.progress.say(f"step {after.step} is skipped: {outcome.fault}")
        if bad > self.recipe.run.max_bad_steps:
            path = self._keep_batch(before)
            raise InputError(
                f"step {after.step}: {outcome.fault}; {bad} steps in a row were skipped and the batch is kept in {path}. "
                "Lower optim.lr, which begins anew in another --out, or go on with --resume --set run.precision=float32"
            )
        return after

    def _keep_batch(self, standing: Standing) -> Path:
        """The inputs of the step's first pass, for inspection."""
        prepared = self.stage.loader.get(standing.position)
        inputs = self.stage.inputs(prepared)
        path = self.out / "bad" / f"step-{standing.step + 1:08d}-process-{self.team.rank}.safetensors"
        tensors = {name: getattr(inputs, name).cpu() for name in ("latents", "noise", "levels", "words", "control")}
        checkpoint.write_tensors(
            path,
            tensors | {"masks": torch.from_numpy(prepared.batch.masks)},
            {"prompts": prepared.batch.prompts, "samples": self._names(prepared.batch.picks)},
        )
        return path

    def _names(self, picks: Any) -> list[str]:
        return [self.opened.dataset.samples[pick].mask.stem for pick in picks]

    def _numbers(self, standing: Standing, outcome: Outcome) -> dict[str, float]:
        rate = self.stage.rate(standing.step - 1)
        return {**outcome.losses, "norm": outcome.norm, "lr": rate, "skipped": standing.skipped}

    def _choices(self) -> list[dict[str, object]]:
        return [choice for batch in self.stage.seen for choice in batch.choices(self.opened.dataset)]

    def _report(self, standing: Standing, first: Standing, outcome: Outcome, sinks: list[Sink]) -> None:
        if standing.step % self.recipe.run.report_every and standing.step != self.recipe.optim.steps:
            return
        spent = max(standing.seconds - first.seconds, 1e-9)
        samples = self.recipe.optim.batch * self.recipe.optim.accumulate * self.team.world
        rate = (standing.step - first.step) * samples / spent
        starved = self.stage.loader.waited / spent
        self.progress.step(standing.step, outcome.losses["loss"], rate, standing.skipped, starved)
        numbers = {f"train/{name}": value for name, value in outcome.losses.items()}
        for sink in sinks:
            sink.log(standing.step, {**numbers, "train/norm": outcome.norm, "train/samples per second": rate})

    def _save(self, standing: Standing) -> None:
        if self.team.leads and standing.step != self._saved:
            facts = {
                "position": standing.position,
                "skipped": standing.skipped,
                "bad": standing.bad,
                "recipe": decisive(self.recipe),
                "data": self._data,
                **self._surroundings(),
            }
            kept = checkpoint.Checkpoint(standing.step, standing.seconds, self.stage.state(), facts)
            checkpoint.save(self.folder, kept, self.recipe.run.keep)
        self._saved = standing.step
        self.team.wait()

    def _look(self, step: int, sinks: list[Sink]) -> Look | None:
        """The first process looks, the others wait."""
        look = self._take(step, sinks) if self.team.leads else None
        self.team.wait()
        return look

    def _take(self, step: int, sinks: list[Sink]) -> Look:
        look = Validation(self.opened, self.out).look(step)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in look.numbers.items() if "," not in name)
        if shown:
            self.progress.say(f"step {step}: {shown}")
        for sink in sinks:
            sink.log(step, {f"validation/{name}": value for name, value in look.numbers.items()})
        return look

    @contextmanager
    def _sinks(self) -> Iterator[list[Sink]]:
        names = self.recipe.run.trackers if self.team.leads else ()
        sinks, notes = open_trackers(names, self.out, self.recipe.name)
        for note in notes:
            self.progress.say(note)
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


def data_digest(dataset: Dataset) -> str:
    """A hash over what is learnt from: images, categories and texts, in order."""
    told = hashlib.blake2b(digest_size=8)
    for sample in dataset.samples:
        told.update(repr((sample.digest, sample.mask.name, sample.ids, sample.text)).encode())
    return told.hexdigest()


def differences(stored: Any, given: Any, path: str = "") -> Iterator[str]:
    """A line for each value that differs: `optim.lr: 1e-05 there, 0.001 now`."""
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in sorted({*stored, *given}):
            yield from differences(stored.get(key), given.get(key), f"{path}.{key}" if path else key)
    elif stored != json.loads(json.dumps(given)):
        yield f"{path}: {stored!r} there, {given!r} now"
