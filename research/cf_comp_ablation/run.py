"""The ablation from start to result. What is finished (trainings, images, evaluations) is kept: after a kill it goes on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.build.run import build
from earthsynth_factory.datasets.build.completeness import check_masters
from earthsynth_factory.datasets.merged import Merged
from earthsynth_factory.datasets.open import open_dataset
from earthsynth_factory.datasets.prepared.layout import FOLDERS
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.errors import StoreError
from earthsynth_factory.evaluation.load import load
from earthsynth_factory.evaluation.run import evaluate
from earthsynth_factory.evaluation.session import Events
from earthsynth_factory.exports.prepared import PreparedSpec
from earthsynth_factory.exports.write import content_of, write_format
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.claim import claimed
from earthsynth_factory.models.registry import card_of
from earthsynth_factory.recipe.fingerprint import decisive
from earthsynth_factory.recipe.load import load_recipe
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from earthsynth_factory.training import checkpoint
from earthsynth_factory.training.controlnet.run import train_controlnet
from earthsynth_factory.training.controlnet.setup import open_batches
from research.cf_comp_ablation.plan import MODES, Drawn, Mode, Trial

OTHERS: tuple[Drawn, ...] = ("off", "random", "base")
"""What CF-Comp's images are judged against."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """samples: that were trained on. evaluations: the document of each, by what CF-Comp's images were judged against."""

    trial: Trial
    samples: int
    evaluations: Mapping[Drawn, Mapping[str, Any]]


class Ablation:
    """A trial with what it stands on."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.card = card_of(trial.base, Path())
        self.dataset = open_batches(trial.recipe(self.card, "off", trial.size.seeds[0]), Path(), trial.out).dataset
        about = PreparedDataset(trial.data).about
        self.classes = [name for index, name in sorted(about.classes.items()) if index]

    def go_on(self) -> Outcome:
        """Runs what is not yet done. Raises Interrupted when stopped, StoreError if `out` holds another ablation."""
        self._check_folder()
        runs = self.trial.runs()
        for number, (mode, seed) in enumerate(runs):
            _tell(f"training {number + 1} of {len(runs)}: {mode}, seed {seed}")
            self._train(mode, seed)
        sets = {name: self._together(name) for name in (*MODES, OTHERS[-1])}
        found = {other: self._judged(sets, other) for other in OTHERS}
        return Outcome(self.trial, len(self.dataset.samples), found)

    def _train(self, mode: Mode, seed: int) -> None:
        folder = self.trial.folder(mode, seed)
        done = folder / "done.json"
        if not done.is_file():
            begun = checkpoint.latest(folder / "checkpoints") is not None
            train_controlnet(self.trial.recipe(self.card, mode, seed), Path(), folder, resume=begun)
            write_json(done, {"mode": mode, "seed": seed, "steps": self.trial.size.steps})

    def _together(self, name: Drawn) -> Path:
        """The images of every seed in one folder, so that an evaluation takes them for one dataset."""
        folders = [self._drawn(name, seed) for seed in self.trial.size.seeds]
        out, images = self.trial.out / "sets" / name, Merged([open_dataset(folder) for folder in folders])
        with claimed(out, "merge", {"content": content_of(images)}, folders=FOLDERS) as claim:
            if not claim.done(""):
                check_masters(images)
                claim.begin()
                write_format(images, PreparedSpec(), out, lambda _: None)
                claim.finish("")
        return out

    def _drawn(self, name: Drawn, seed: int) -> Path:
        """The folder of a build by a mode's ControlNet, or by the untouched base."""
        _tell(f"images: {name}, seed {seed}")
        model: str | dict[str, str] = self.trial.base
        if name != "base":
            model = {"base": self.trial.base, "controlnet": str(self.trial.folder(name, seed).resolve() / "model")}
        folder = self.trial.out / "images" / f"{name}-{seed}"
        recipe = folder.with_suffix(".yaml")
        write_bytes(recipe, orjson.dumps(self.trial.drawing(self.card, model, seed, self.classes)))
        build(load_recipe(recipe), folder)
        return folder

    def _judged(self, sets: Mapping[Drawn, Path], other: Drawn) -> Mapping[str, Any]:
        _tell(f"evaluation: cf-comp beside {other}")
        recipe = load(None, self.trial.evaluation(sets, other))
        result = evaluate(recipe, self.trial.out / "evaluations" / other, Events(say=_tell, ran=_ran))
        document: Mapping[str, Any] = orjson.loads(result.read_bytes())
        return document

    def _check_folder(self) -> None:
        """Raises StoreError if `out` was begun with other settings: its finished runs would not be comparable."""
        path = self.trial.out / "ablation.json"
        facts = {
            "recipe": decisive(self.trial.recipe(self.card, "off", 0)),
            "size": self.trial.size.model_dump(mode="json"),
            "base": ControlNetSpec(model=self.trial.base).identity(Path()),
            "data": sorted(sample.digest for sample in self.dataset.samples),
        }
        facts = orjson.loads(orjson.dumps(facts))
        if path.is_file() and orjson.loads(path.read_bytes()) != facts:
            raise StoreError(f"{path}: holds an ablation with other settings, base or data; choose another --out")
        write_json(path, facts)


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _ran(done: int, total: int, left: float) -> None:
    _tell(f"run {done} of {total}  {left / 60:.0f} min left")
