"""What a model folder is, and whether it can be driven: read off its configurations and the headers of its files.

No weight is loaded and no torch is imported, so that `recipe validate` and `plan` can afford it. Every fault of a model is
told at once, each with the folder, the two values and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.fit import DRIVEN, base_faults, controlnet_faults
from earthsynth_factory.models.part import DIFFUSION, TEXT, Part, read_json, read_part


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A Stable Diffusion pipeline as it lies on disk. tokenizer: its folder, None for CLIP's own, which open_clip ships."""

    place: Path
    unet: Part
    vae: Part
    text: Part
    scheduler: Mapping[str, Any]
    tokenizer: Path | None

    @property
    def shrink(self) -> int:
        """Pixels along a latent cell's side."""
        return int(2 ** (len(self.vae.get("block_out_channels", (0,) * 4)) - 1))

    def checked(self) -> BaseModel:
        """Itself. Raises ModelError naming all that keeps it from being driven."""
        _raise(base_faults(self.unet, self.vae, self.text, self.tokenizer))
        return self


def inspect_base(folder: Path) -> BaseModel:
    """The pipeline in a folder. Raises ModelError naming what lacks, is damaged or of a family that is not driven here."""
    index = read_json(folder / "model_index.json", "; no pipeline in diffusers' layout here")
    _refuse_other_pipelines(folder, index)
    return BaseModel(
        place=folder,
        unet=read_part(folder / "unet", DIFFUSION),
        vae=read_part(folder / "vae", DIFFUSION),
        text=read_part(folder / "text_encoder", TEXT),
        scheduler=read_json(folder / "scheduler" / "scheduler_config.json"),
        tokenizer=folder / "tokenizer",
    ).checked()


def inspect_controlnet(folder: Path) -> Part:
    """The ControlNet in a folder. Raises ModelError where there is none, or it is damaged."""
    return read_part(folder, DIFFUSION, "; no ControlNet here, set `subfolder` to the folder that holds it")


def check_fit(base: BaseModel, control: Part) -> None:
    """Raises ModelError naming every way in which the ControlNet does not belong to the base."""
    _raise(controlnet_faults(control, base.unet, base.shrink))


def check_size(base: BaseModel, size: tuple[int, int]) -> None:
    """Raises ModelError where the base's latents have no such size. size: height and width in pixels."""
    step = base.shrink
    if any(side % step for side in size):
        pixels = " × ".join(map(str, size))
        raise ModelError(
            f"{base.place}: images of {pixels} pixels: this model needs multiples of {step}; set image.size"
        )


def _refuse_other_pipelines(folder: Path, index: Mapping[str, Any]) -> None:
    name = str(index.get("_class_name", "StableDiffusionPipeline"))
    second = "text_encoder_2" in index or (folder / "text_encoder_2").exists()
    if second or not name.startswith("StableDiffusion") or name.startswith(("StableDiffusionXL", "StableDiffusion3")):
        which = " (two text encoders)" if second else ""
        raise ModelError(f"{folder}: a {name}{which}; {DRIVEN}; choose such a base and a ControlNet made for it")


def _raise(faults: Iterator[str]) -> None:
    listed = list(faults)
    if listed:
        raise ModelError("\n".join(listed))
