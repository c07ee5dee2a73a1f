"""What an evaluation is asked for: a recipe file, or the same from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from earthsynth_factory.domain.spec import Field, Spec

Task = Literal["segment", "detect", "classify"]
BudgetName = Literal["quick", "full"]
ArmName = Literal[
    "real",
    "augmented",
    "copy-paste",
    "synthetic",
    "synthetic-augmented",
    "two-streams",
    "synthetic-first",
    "synthetic-alone",
    "noise",
    "fewer-real",
    "more-real",
    "compared",
]
DEFAULT_ARMS: tuple[ArmName, ...] = ("real", "augmented", "synthetic", "noise", "more-real", "fewer-real")
"""`more-real` is run at shares up to a half, `fewer-real` at larger ones: each is the other point of the real curve."""


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(set(values)):
        raise ValueError("write them in ascending order, each once")
    return values


Share = Annotated[float, Field(gt=0, le=1)]
Shares = Annotated[tuple[Share, ...], AfterValidator(_ascending)]
Doses = Annotated[tuple[Annotated[float, Field(ge=0, le=100)], ...], AfterValidator(_ascending)]


class NetworkSpec(Spec):
    """The network that is trained in every arm."""

    backbone: str = "auto"
    """`auto` (EfficientNet-Lite0 with ImageNet weights if the extra `evaluate` is installed, else mobilenet_v3_large), a
    torchvision classifier's name, or `timm:NAME`."""
    weights: str = "auto"
    """`auto` (those of Lite0, else none), `none`, `imagenet` (torchvision's or timm's, needs a network), or a safetensors
    file."""


class TrainerSpec(Spec):
    """A user's own trainer. `{data}` `{seed}` `{out}` in its words are filled in; no shell sees them."""

    command: str = Field(min_length=1)
    """As one would type it; it writes `metrics.json` into `{out}`."""
    format: str = "coco"
    """What an arm's dataset is exported as; see `earthsynth-factory export --help`."""
    metric: str | None = None
    """Which number of metrics.json counts; needed if it holds several."""
    percent: bool = False
    """Its numbers are 0 to 100, not 0 to 1."""
    timeout: float = Field(default=86_400, gt=0)
    """Seconds after which a run of it is stopped and refused."""


class EvaluationRecipe(Spec):
    """All of an evaluation in a file. Paths start at the file's folder."""

    kind: Literal["evaluation"] = "evaluation"
    real: Path
    """Real images, split into train, val and test (val and test are made by group if there is train alone)."""
    synthetic: tuple[Path, ...] = Field(min_length=1)
    """Datasets that are judged, together."""
    compare: Path | None = None
    """Another synthetic dataset, or the folder of its evaluation: judged against the first."""
    task: Task
    budget: BudgetName = "quick"
    arms: tuple[ArmName, ...] = DEFAULT_ARMS
    seeds: int = Field(default=4, ge=2, le=1000)
    """Paired runs of every arm."""
    seed: int = 0
    """Decides subsets, orders and first weights."""
    shares: Shares = (1.0,)
    """Parts of the real training images that are used."""
    dose: float = Field(default=1.0, gt=0, le=100)
    """Synthetic images for every real one, as far as there are any."""
    doses: Doses = ()
    """A dose curve: the best on val is reported once on test."""
    model: NetworkSpec = NetworkSpec()
    trainer: TrainerSpec | None = None
    side: int | None = Field(default=None, ge=16, le=2048)
    """Pixels that the longer side of every image is brought to; by default the budget's."""
    steps: int | None = Field(default=None, gt=0)
    """Optimiser steps of every run; by default the budget's."""
    batch: int | None = Field(default=None, ge=2)
    lr: float | None = Field(default=None, gt=0)
    held_out: int | None = Field(default=None, ge=8)
    """Images of val, and of test, that are looked at at most; by default the budget's."""
    allow_leaks: bool = False
    """Go on although test images are in the training data; the result says so."""
    device: str = "cpu"
    workers: int | None = Field(default=None, ge=1)
    """Runs at a time; by default one a core."""

    @model_validator(mode="after")
    def _has_a_baseline(self) -> EvaluationRecipe:
        if "real" not in self.arms:
            raise ValueError("arms: `real` is what every other arm is compared with; add it")
        if "compared" in self.arms and self.compare is None:
            raise ValueError("arms: `compared` needs `compare`, a second synthetic dataset")
        return self

    @model_validator(mode="before")
    @classmethod
    def _arms_of_a_trainer(cls, data: object) -> object:
        """A trainer of one's own is not told how to augment: its default arms differ by their data alone."""
        if isinstance(data, dict) and data.get("trainer") and "arms" not in data:
            return data | {"arms": tuple(arm for arm in DEFAULT_ARMS if arm != "augmented")}
        return data

    def budgeted(self) -> Budget:
        """The sizes of every run."""
        given = {name: getattr(self, name) for name in Budget.model_fields}
        return Budget(**(BUDGETS[self.budget].model_dump() | {k: v for k, v in given.items() if v is not None}))


class Budget(Spec):
    """How large a run is."""

    side: int
    steps: int
    batch: int
    lr: float
    held_out: int


BUDGETS: dict[BudgetName, Budget] = {
    "quick": Budget(side=128, steps=300, batch=8, lr=1e-3, held_out=256),
    "full": Budget(side=256, steps=3000, batch=16, lr=1e-3, held_out=5000),
}
