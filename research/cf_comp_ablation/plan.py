"""What is run: modes and seeds, and the recipe of each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe

Mode = Literal["off", "cf-comp", "random"]
Start = Literal["new", "base"]
Drawn = Literal["off", "cf-comp", "random", "base"]
"""Whose images are judged: those of a mode's ControlNets, or of the untouched base."""
SizeName = Literal["quick", "full"]

MODES: tuple[Mode, ...] = ("off", "cf-comp", "random")


class Size(Spec):
    """How much is trained, drawn and judged; chosen for two CPU cores."""

    steps: int = Field(gt=0)
    batch: int = Field(default=12, ge=3)
    lr: float = Field(default=1e-3, gt=0)
    variants: int = Field(default=2, ge=1, le=8)
    images: int = Field(gt=0)
    """That each trained ControlNet draws for masks of training scenes, every class in turn."""
    sampling: int = Field(default=12, gt=0)
    """Denoising steps of an image."""
    seeds: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1)
    """Of the trainings of each mode."""
    rounds: int = Field(default=8, ge=2)
    """Seeds of the evaluation."""
    budget: dict[str, int] = Field(default_factory=dict)
    """What differs from the evaluation's quick budget."""


SIZES: dict[SizeName, Size] = {
    "quick": Size(steps=10, batch=6, variants=1, images=12, sampling=4, seeds=(1,), rounds=2, budget={"steps": 10}),
    "full": Size(steps=750, images=160),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What all runs share. base: `embedded` or a pipeline's folder; data: a prepared folder."""

    base: str
    data: Path
    out: Path
    size: Size
    start: Start
    device: str

    def runs(self) -> list[tuple[Mode, int]]:
        """Mode and seed of each, seed by seed, so that a stopped ablation has whole rounds."""
        return [(mode, seed) for seed, mode in product(self.size.seeds, MODES)]

    def folder(self, mode: Mode, seed: int) -> Path:
        """Where a run is kept."""
        return self.out / "runs" / f"{mode}-{seed}"

    def drawing(
        self, card: ModelCard, model: str | dict[str, str], seed: int, classes: Sequence[str]
    ) -> dict[str, Any]:
        """The recipe of a build: masks and noise depend on `seed` alone, so they are the same for every mode. Nothing is
        filtered: the filter would make up for what a mode does worse."""
        size = self.size
        return {
            "name": "cf-comp-ablation",
            "seed": seed,
            "image": {"size": card.native_size},
            "categories": [{"name": name, "count": -(-size.images // len(classes))} for name in classes],
            "conditions": [{"kind": "dataset", "path": str(self.data.resolve()), "only_split": "train"}],
            "synthesis": {
                "model": model, "steps": size.sampling, "scheduler": card.scheduler, "guidance": card.guidance, "batch": 8,
            },
            "rfilter": {"candidates": 1, "rules": []},
            "splits": {"train": 1.0},
            "exports": [],
            "engine": {"device": self.device},
        }  # fmt: skip

    def evaluation(self, sets: Mapping[Drawn, Path], other: Drawn) -> dict[str, Any]:
        """The recipe of an evaluation: CF-Comp's images beside another's, and real images alone."""
        data, synthetic, compare = (str(path.resolve()) for path in (self.data, sets["cf-comp"], sets[other]))
        arms = ["real", "synthetic", "compared"]
        shared = {"task": "segment", "seeds": self.size.rounds, "arms": arms, **self.size.budget}
        return {"real": data, "synthetic": [synthetic], "compare": compare, **shared}

    def recipe(self, card: ModelCard, mode: Mode, seed: int) -> ControlNetRecipe:
        """The trainer's recipe of a run; runs differ in `cf_comp.mode` and `seed` alone."""
        size = self.size
        begun = "embedded" if self.base == "embedded" else str(Path(self.base) / "controlnet")
        return ControlNetRecipe.model_validate(
            {
                "name": f"ablation: {mode}, seed {seed}",
                "seed": seed,
                "size": card.native_size,
                "licence": card.licence,
                "data": {
                    "path": str(self.data.resolve()),
                    "prompts": "template",
                    "variants": size.variants,
                    "cache": str((self.out / "cache").resolve()),
                },
                "model": {
                    "base": self.base,
                    "controlnet": "new" if self.start == "new" else begun,
                    "control": card.control,
                },
                "cf_comp": {"mode": mode},
                "optim": {
                    "steps": size.steps,
                    "batch": size.batch,
                    "lr": size.lr,
                    "warmup": size.steps // 20,
                    "schedule": "cosine",
                    "ema": 0.99,
                },
                "validation": {"images": 0, "loss_samples": 0, "every": size.steps},
                "run": {"device": self.device, "save_every": max(1, size.steps // 6), "keep": 1, "loaders": 1},
            }
        )
