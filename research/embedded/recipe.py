"""The training recipe: what `recipes/train_embedded.yaml` may say."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.recipe.load import load_block
from research.embedded.crops import CropPlan

Preset = Literal["cpu", "gpu"]


class SourceSpec(Spec):
    """How one imported dataset is cropped."""

    per_category: int = Field(gt=0)
    min_side: int = Field(gt=0)
    max_side: int = Field(gt=0)
    things_only: bool = False

    def plan(self, share: float = 1.0) -> CropPlan:
        """The crop plan, with `share` of the crops (at least 40 a category)."""
        count = self.per_category if share == 1 else max(40, round(self.per_category * share))
        return CropPlan(count, self.min_side, self.max_side, self.things_only)


class DataSpec(Spec):
    """Sources by folder name under the datasets folder; `compositions` is their share of all crops."""

    sources: dict[str, SourceSpec] = Field(min_length=1)
    compositions: float = Field(default=0.25, ge=0, lt=1)
    held_out: float = Field(default=0.125, gt=0, le=1)


class AutoencoderSpec(Spec):
    """`window` is the side in pixels it trains on; `adversary_from` the share of steps after which the adversary's
    verdict counts (it learns from the first step; 1 is without one).

    The encoder starts as the PCA of patches; with 0 steps it stays that, and the decoder is left to the decoder stage.
    """

    channels: tuple[int, ...] = (32, 64, 128, 160)
    latent_channels: int = 8
    window: int = 64
    batch: int = 32
    steps: int = Field(ge=0)
    lr: float = 6e-4
    adversary_from: float = 0.67

    @model_validator(mode="after")
    def _last_level_is_wider(self) -> Self:
        if self.channels[-1] <= self.channels[-2]:
            raise ValueError(f"channels {self.channels}: the last level must be wider than the one before (see pca.py)")
        return self


class DiffusionSpec(Spec):
    """UNet, ControlNet and text encoder, trained together. `variants` is how many symmetries of each crop are cached.

    `condition_channels` are the control image's way down to the latent: one stride-2 stage between neighbours.
    """

    channels: tuple[int, ...] = (96, 192, 288)
    condition_channels: tuple[int, ...] = (12, 24, 48, 96)
    layers: int = 1
    text_width: int = 192
    text_layers: int = 3
    batch: int = 32
    steps: int = Field(gt=0)
    lr: float = 4e-4
    variants: int = Field(default=3, ge=1, le=8)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    ema: float = Field(default=0.999, gt=0, lt=1)


class DecoderSpec(Spec):
    """The decoder's refinement on cached latents; fields as in the autoencoder's block."""

    window: int = Field(default=64, multiple_of=8)
    batch: int = 16
    steps: int = Field(ge=0)
    lr: float = 1e-3
    adversary_from: float = 1.0


class ClipSpec(Spec):
    """The small open_clip model of R-Filter: a ResNet (one bottleneck a stage learns faster from few samples than a ViT)."""

    size: int = 64
    width: int = 32
    blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    embed: int = 128
    text_width: int = 128
    text_layers: int = 2
    batch: int = 64
    steps: int = Field(gt=0)
    lr: float = 1e-3


class SegmenterSpec(Spec):
    """The small segmenter that judges whether images show their masks."""

    steps: int = Field(gt=0)
    batch: int = Field(default=32, gt=1)
    lr: float = Field(default=4e-3, gt=0)
    widths: tuple[int, ...] = (32, 64, 128, 160)


class PresetSpec(Spec):
    """Machine-dependent part: threads and the five stages."""

    threads: int | None = None
    autoencoder: AutoencoderSpec
    diffusion: DiffusionSpec
    decoder: DecoderSpec
    clip: ClipSpec
    segmenter: SegmenterSpec


class TrainRecipe(Spec):
    """The whole file."""

    kind: Literal["embedded"] = "embedded"

    seed: int = 1
    size: int = Field(default=128, gt=0, multiple_of=16)
    data: DataSpec
    presets: dict[Preset, PresetSpec]


def load_recipe(path: Path) -> TrainRecipe:
    """Reads a training recipe. Raises `RecipeError` with every fault of the file at once."""
    return load_block(path, lambda _: TrainRecipe)
