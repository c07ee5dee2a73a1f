"""The ablation from start to table. Finished runs, images and checkpoints are kept: the same call goes on after a kill."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.models.device import pick_device
from earthsynth_factory.models.registry import TwoPartModel, card_of
from earthsynth_factory.models.segmenter import Segmenter
from earthsynth_factory.recipe.fingerprint import decisive
from earthsynth_factory.report.sheets import grid, to_png
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from earthsynth_factory.training import checkpoint
from earthsynth_factory.training.controlnet.run import train_controlnet
from earthsynth_factory.training.controlnet.setup import open_batches
from research.cf_comp_ablation.judge import Judge, Verdict, rare
from research.cf_comp_ablation.plan import MODES, Mode, Trial
from research.embedded.report.generated import GeneratedImages, conditions_of
from research.grids import paint

SHOWN = 8
"""Conditions on the sheet."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All verdicts: on the real images, on the untouched base's, and on each mode's by seed."""

    trial: Trial
    samples: int
    conditions: int
    rare: tuple[int, ...]
    real: Verdict
    base: Verdict
    modes: dict[Mode, list[Verdict]]


class Ablation:
    """A trial with its judge."""

    def __init__(self, trial: Trial, segmenter: Path) -> None:
        self.trial = trial
        self.card = card_of(trial.base, Path())
        batches = open_batches(trial.recipe(self.card, "off", trial.size.seeds[0]), Path(), trial.out)
        device = pick_device(trial.device)
        self.judge = Judge(batches, Segmenter.load(segmenter, str(device)), trial.size.conditions, device)
        # Seeded by the trial, not by the run: every model draws the same masks from the same noise.
        self.conditions = conditions_of(self.judge.crops, self.card, trial.size.seeds[0], "held-out")

    def go_on(self) -> Outcome:
        """Runs what is not yet done. Raises Interrupted when stopped, StoreError if `out` holds another ablation."""
        self._check_folder()
        base = self._draw(self.trial.base, "base")
        shown = [list(self.judge.crops.images), base]
        modes: dict[Mode, list[Verdict]] = {mode: [] for mode in MODES}
        runs, clock = self.trial.runs(), _Clock()
        for number, (mode, seed) in enumerate(runs):
            images, made = self._run(mode, seed)
            modes[mode].append(self.judge.look(images))
            shown += [images] if seed == self.trial.size.seeds[0] else []
            clock.tell(made, number + 1, len(runs))
        real = self.judge.look(list(self.judge.crops.images))
        self._sheet(shown)
        dataset = self.judge.dataset
        return Outcome(
            self.trial, len(dataset.samples), len(self.conditions), rare(dataset, list(real.iou)), real,
            self.judge.look(base), modes,
        )  # fmt: skip

    def _run(self, mode: Mode, seed: int) -> tuple[list[Image], bool]:
        """A run's images, and whether anything had to be trained for them."""
        folder = self.trial.folder(mode, seed)
        done = folder / "done.json"
        missing = not done.is_file()
        if missing:
            begun = checkpoint.latest(folder / "checkpoints") is not None
            train_controlnet(self.trial.recipe(self.card, mode, seed), Path(), folder, resume=begun)
            write_json(done, {"mode": mode, "seed": seed, "steps": self.trial.size.steps})
        trained = TwoPartModel(base=self.trial.base, controlnet=str((folder / "model").resolve()))
        return self._draw(trained, f"{mode} {seed}"), missing

    def _draw(self, model: str | TwoPartModel, what: str) -> list[Image]:
        spec = ControlNetSpec(
            model=model,
            steps=self.trial.size.sampling,
            scheduler=self.card.scheduler,
            guidance=self.card.guidance,
            batch=8,
        )
        generator = spec.build(StageContext(earthsynth(), (), Path(), self.trial.device))
        identity = {"weights": dict(spec.identity(Path())), "spec": spec.model_dump(mode="json", exclude={"model"})}
        generator.open()
        return GeneratedImages(generator, identity, self.trial.out / "images").of(self.conditions, what)

    def _check_folder(self) -> None:
        """Raises StoreError if `out` was begun with other settings: its finished runs would not be comparable."""
        path = self.trial.out / "ablation.json"
        facts = {
            "recipe": decisive(self.trial.recipe(self.card, "off", 0)),
            "size": self.trial.size.model_dump(mode="json"),
            "base": ControlNetSpec(model=self.trial.base).identity(Path()),
            "data": sorted(sample.digest for sample in self.judge.dataset.samples),
        }
        facts = orjson.loads(orjson.dumps(facts))
        if path.is_file() and orjson.loads(path.read_bytes()) != facts:
            raise StoreError(f"{path}: holds an ablation with other settings, base or data; choose another --out")
        write_json(path, facts)

    def _sheet(self, shown: list[list[Image]]) -> None:
        """OUT/sheet.png: a row a condition: mask, real, untouched base, then the first seed of each mode."""
        places = np.unique(np.linspace(0, len(self.conditions) - 1, SHOWN).astype(int)).tolist()
        columns = [paint(self.judge.crops.masks), *(np.stack(images) for images in shown)]
        views = [column[place] for place in places for column in columns]
        write_bytes(self.trial.out / "sheet.png", to_png(grid(views, len(columns))))


class _Clock:
    """Time left on stderr, by the mean of the runs that were made now."""

    def __init__(self) -> None:
        self._start, self._made = time.monotonic(), 0

    def tell(self, made: bool, done: int, total: int) -> None:
        """After each run."""
        self._made += made
        left = (time.monotonic() - self._start) / max(1, self._made) * (total - done) / 60
        print(f"ablation {done}/{total} runs  {left:.0f} min left", file=sys.stderr, flush=True)
