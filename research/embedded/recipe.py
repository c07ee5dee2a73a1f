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
    """How one prepared dataset is cropped: crops per category, and their sides in its pixels.

    The judges (CLIP, segmenter) see `per_category` crops. The generator's scenes are `share` of all, their sides times
    `shrink`, and `pool` crops of each category are cut from them, none smaller than `pool_min_side`: enlarged crops teach
    it to blur. With 0 the source is not for the generator; without `per_category` it is for the generator alone.
    """

    per_category: int = Field(default=0, ge=0)
    min_side: int = Field(gt=0)
    max_side: int = Field(gt=0)
    things_only: bool = False
    pool: int = Field(default=0, ge=0)
    pool_min_side: int = Field(default=0, ge=0)
    share: float = Field(default=1, gt=0, le=1)
    shrink: float = Field(default=1, gt=0, le=1)

    def plan(self, share: float = 1.0) -> CropPlan:
        """The judges' crop plan, with `share` of the crops (at least 40 a category)."""
        count = self.per_category if share == 1 else max(40, round(self.per_category * share))
        return CropPlan(count, self.min_side, self.max_side, self.things_only)

    def pool_plan(self, share: float) -> CropPlan:
        """The generator's, on scenes that are shrunk already, with `share` of the crops."""
        low, high = (max(1, round(s * self.shrink)) for s in (max(self.min_side, self.pool_min_side), self.max_side))
        return CropPlan(max(1, round(self.pool * share)), low, high, self.things_only)


class DataSpec(Spec):
    """Sources by folder name under the datasets folder; `held_out` is the share of crops that are cut for testing."""

    sources: dict[str, SourceSpec] = Field(min_length=1)
    held_out: float = Field(default=0.125, gt=0, le=1)
    quality: int = Field(default=78, ge=1, le=100)
    """WebP quality of the generator's scenes."""


class AutoencoderSpec(Spec):
    """The autoencoder's shape: levels of `channels`, so f = 2^(levels − 1)."""

    channels: tuple[int, ...] = (32, 64, 96, 112)
    latent_channels: int = 12

    @model_validator(mode="after")
    def _last_level_is_wider(self) -> Self:
        if self.channels[-1] <= self.channels[-2]:
            raise ValueError(f"channels {self.channels}: the last level must be wider than the one before (see pca.py)")
        return self


class DenoiserSpec(Spec):
    """Shape of text encoder, UNet and ControlNet. `attention` says which levels attend to the text and to themselves.

    `condition_channels` are the control image's way down to the latent: one stride-2 stage between neighbours.
    """

    channels: tuple[int, ...] = (96, 128, 192)
    attention: tuple[bool, ...] = (False, True, False)
    heads: int = 4
    condition_channels: tuple[int, ...] = (16, 32, 64, 128)
    layers: int = 1
    text_width: int = 128
    text_layers: int = 2

    @model_validator(mode="after")
    def _one_attention_a_level(self) -> Self:
        if len(self.attention) != len(self.channels):
            raise ValueError(f"attention {self.attention}: give one for each of the {len(self.channels)} channels")
        return self


class DecoderSpec(Spec):
    """The decoder's training on the encoder's latents."""

    seconds: float = Field(gt=0)
    batch: int = Field(default=64, gt=0)
    lr: float = 4e-4
    adversary_lr: float = 2e-4


class FlowSpec(Spec):
    """Text encoder, UNet and ControlNet from nothing, by flow matching. `dropout`: share that sees neither mask nor text."""

    seconds: float = Field(gt=0)
    batch: int = Field(default=512, gt=0)
    lr: float = 1e-3
    dropout: float = Field(default=0.1, ge=0, lt=1)
    ema: float = Field(default=0.999, gt=0, lt=1)


class FewStepsSpec(Spec):
    """The same networks and the decoder made to draw in `steps` steps, with what the flow draws in `pair_steps` as guide."""

    seconds: float = Field(gt=0)
    pair_seconds: float = Field(gt=0)
    steps: int = Field(default=2, ge=1, le=8)
    pair_steps: int = Field(default=12, ge=1)
    pair_batch: int = Field(default=1024, gt=0)
    pairs: int = Field(default=40_000, gt=0)
    guidance: float = 1.7
    batch: int = Field(default=96, gt=0)
    lr: float = 2.5e-4
    adversary_lr: float = 2e-4
    adversary_weight: float = 2.0
    ema: float = Field(default=0.995, gt=0, lt=1)


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
    """Machine-dependent part: threads, the share of the pool's crops, the generator's three stages and the two judges."""

    threads: int | None = None
    pool_share: float = Field(default=1, gt=0)
    autoencoder: AutoencoderSpec = AutoencoderSpec()
    denoiser: DenoiserSpec = DenoiserSpec()
    decoder: DecoderSpec
    flow: FlowSpec
    few_steps: FewStepsSpec
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
