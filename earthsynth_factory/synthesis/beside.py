"""What a recipe may put beside a model: LoRAs, and ControlNets that see more than the mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import model_validator

from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.models import hub
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.models.registry import (
    controlnet_card,
    controlnet_of,
    if_on_hub,
    lora_of,
    path_of,
    style_of,
    unknown_card,
)

if TYPE_CHECKING:
    from torch import Tensor


class LoraSpec(Spec):
    """A LoRA, fused into the weights: a safetensors file as diffusers, peft or kohya's scripts write it."""

    path: str = Field(min_length=1)
    """A .safetensors file, a folder that holds one, or a hub id."""
    weight: float = Field(default=1.0, ge=-10, le=10)
    """How strongly it acts; several add up."""
    adapter: str | None = Field(default=None, min_length=1, max_length=80)
    """What the dataset's card calls it; left out, its file's name."""
    file: str | None = Field(default=None, min_length=1)
    """Its name in the folder or repository, if that holds several; `pytorch_lora_weights.safetensors` is found without."""
    revision: str = "main"
    """Commit, tag or branch on the hub."""

    def place(self, base: Path) -> tuple[Path, str, float]:
        """(file, adapter, weight). Raises ModelError if it is not available."""
        found = lora_of(self.path, base, self.file, self.revision)
        named = Path(self.path).name if found.name == hub.LORA else found.stem
        return found, self.adapter or named, self.weight

    def repositories(self, base: Path) -> list[hub.HubRepository]:
        """What of it comes from the hub. Raises ModelError for a name that is neither there nor here."""
        return if_on_hub(self.path, base, "lora", hub.lora_repository(self.path, self.revision, self.file))


class StyleSpec(Spec):
    """Pictures that lend images their style, by an IP-Adapter. Each image takes one of them, drawn by its seed."""

    adapter: str = Field(min_length=1)
    """A .safetensors file, a folder or a hub id; plain adapters and Plus."""
    file: str | None = Field(default=None, min_length=1)
    """Its file in the folder or repository; left out, `ip-adapter_sd15.safetensors`."""
    revision: str = "main"
    """Commit, tag or branch on the hub."""
    encoder: str | None = Field(default=None, min_length=1)
    """Folder of its image encoder (a CLIPVisionModelWithProjection); left out, `image_encoder` beside the adapter's file."""
    images: str = Field(min_length=1)
    """Folder of the pictures."""
    weight: float = Field(default=0.6, ge=0, le=4)
    """How strongly they act."""

    def place(self, base: Path) -> tuple[Path, Path, Path, float]:
        """(adapter, encoder, folder of pictures, weight). Raises ModelError if the adapter is not available."""
        found = style_of(self.adapter, base, self.file, self.revision)
        encoder = path_of(self.encoder, base, "encoder") if self.encoder else found.parent / hub.ENCODER
        return found, encoder, path_of(self.images, base, "images"), self.weight

    def repositories(self, base: Path) -> list[hub.HubRepository]:
        """What of it comes from the hub. Raises ModelError for a name that is neither there nor here."""
        return if_on_hub(self.adapter, base, "adapter", hub.style_repository(self.adapter, self.revision, self.file))


class ControlSpec(Spec):
    """A ControlNet beside the one that sees the mask; what both say adds up."""

    controlnet: str = Field(min_length=1)
    """A folder in diffusers' layout, a .safetensors file, or a hub id."""
    subfolder: str = ""
    """Its folder inside its repository or folder."""
    revision: str = "main"
    """Commit, tag or branch on the hub."""
    shows: Literal["edges", "depth", "mask"] = "edges"
    """What it is shown: `edges`, the outlines of classes and objects in white on black; `depth`, the `heights` of classes,
    the highest of them white; `mask`, the classes as its own card says."""
    heights: dict[str, Annotated[float, Field(ge=0, le=10_000)]] = Field(default={})
    """For `depth`: class → metres above the ground. Classes that are not named lie on the ground, in black."""
    weight: float = Field(default=1.0, ge=0, le=4)
    """Strength of its control."""
    end: float = Field(default=1.0, gt=0, le=1)
    """Share of the steps after which it is left out."""

    @model_validator(mode="after")
    def _high(self) -> ControlSpec:
        if self.shows == "depth" and not any(self.heights.values()):
            raise ValueError("shows: depth: say under `heights` how high classes are, in metres")
        if self.shows != "depth" and self.heights:
            raise ValueError("`heights` are for `shows: depth`; set that, or leave them out")
        return self

    def __str__(self) -> str:
        until = f" until {self.end:g} of the steps" if self.end < 1 else ""
        return f"{self.controlnet}, shown {self.shows}, × {self.weight:g}{until}"

    def place(self, base: Path) -> Path:
        """Its folder or file. Raises ModelError if it is not available."""
        return controlnet_of(self.controlnet, base, self.revision, self.subfolder)

    def repositories(self, base: Path) -> list[hub.HubRepository]:
        """What of it comes from the hub. Raises ModelError for a name that is neither there nor here."""
        repository = hub.controlnet_repository(self.controlnet, self.revision, self.subfolder)
        return if_on_hub(self.controlnet, base, "controlnet", repository)

    def card(self, base: Path) -> ModelCard:
        """Its own card, else EarthSynth's conventions."""
        found = controlnet_card(self.controlnet, self.place(base), self.subfolder)
        return found or unknown_card(self.controlnet)

    def images(self, masks: Sequence[Mask], instances: Sequence[InstanceMap], base: Path, taxonomy: Taxonomy) -> Tensor:
        """(B, 3, H, W) in [0, 1]: what it is shown. Raises InputError if `heights` names no class."""
        from earthsynth_factory.models.control_image import control_images, control_lut, edge_images, height_lut

        if self.shows == "edges":
            return edge_images(masks, instances)
        if self.shows == "mask":
            return control_images(masks, control_lut(self.card(base), taxonomy))
        return control_images(masks, height_lut({taxonomy.named(name).id: m for name, m in self.heights.items()}))
