"""What a model folder is, and whether it can be driven: read off its configurations and the headers of its files.

No weight is loaded and no torch is imported, so that `recipe validate` and `plan` can afford it. Every fault of a model is
told at once, each with the folder, the two values and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.fit import DRIVEN, base_faults, controlnet_faults, shrink_of, vae_faults
from earthsynth_factory.models.lora import TEXT, TEXT_2, UNET, Lora, check_lora
from earthsynth_factory.models.part import DIFFUSION, TEXT_STEM, Part, is_named, read_config, read_part
from earthsynth_factory.models.style import Style, style_faults


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A Stable Diffusion pipeline as it lies on disk. tokenizer: its folder, None for CLIP's own, which open_clip ships.

    second: the other text encoder of Stable Diffusion XL with its tokenizer; None for 1.x and 2.x. index: model_index.json.
    """

    place: Path
    unet: Part
    vae: Part
    text: Part
    scheduler: Mapping[str, Any]
    tokenizer: Path | None
    second: tuple[Part, Path] | None = None
    index: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shrink(self) -> int:
        """Pixels along a latent cell's side."""
        return shrink_of(self.vae)

    @property
    def zeros(self) -> bool:
        """Whether Stable Diffusion XL is given zeros for an empty prompt, not what its text encoders make of one."""
        return bool(self.index.get("force_zeros_for_empty_prompt", True))

    def checked(self) -> BaseModel:
        """Itself. Raises ModelError naming all that keeps it from being driven."""
        _raise(base_faults(self.unet, self.vae, self.text, self.tokenizer, self.second))
        return self

    def with_vae(self, vae: Part) -> BaseModel:
        """Itself with another autoencoder. Raises ModelError if that one has other latents."""
        _raise(vae_faults(vae, self.vae))
        return replace(self, vae=vae)

    def networks(self) -> dict[str, Part]:
        """Folder of diffusers' layout → the network."""
        second = {"text_encoder_2": self.second[0]} if self.second else {}
        return {"unet": self.unet, "vae": self.vae, "text_encoder": self.text, **second}

    def tokenizers(self) -> dict[str, Path]:
        """Folder of diffusers' layout → where the tokenizer's files lie, of those that have files of their own."""
        found = {"tokenizer": self.tokenizer, "tokenizer_2": self.second[1] if self.second else None}
        return {name: folder for name, folder in found.items() if folder}


@dataclass(frozen=True, slots=True)
class Assembly:
    """All that is loaded for one generator: a base, one or several ControlNets, LoRAs, an IP-Adapter with its pictures."""

    base: BaseModel
    controls: tuple[Part, ...]
    loras: tuple[Lora, ...] = ()
    style: Style | None = None

    def checked(self) -> Assembly:
        """Itself. Raises ModelError naming all that does not belong together."""
        base = self.base
        faults = [fault for control in self.controls for fault in controlnet_faults(control, base.unet, base.shrink)]
        second = base.second[0] if base.second else None
        networks = {UNET: base.unet, TEXT: base.text, TEXT_2: second}
        faults += [fault for lora in self.loras for fault in check_lora(lora, networks, base.unet.folder)]
        faults += style_faults(self.style, base.unet) if self.style else []
        _raise(iter(faults))
        return self

    def parts(self) -> list[Part]:
        """Every network."""
        return [*self.base.networks().values(), *self.controls, *([self.style.encoder] if self.style else [])]


def inspect_base(folder: Path) -> BaseModel:
    """The pipeline in a folder. Raises ModelError naming what is missing, damaged or of a family not driven here."""
    index = read_config(folder / "model_index.json", "; no pipeline in diffusers' layout here")
    _refuse_other_pipelines(folder, index)
    second = None
    if (folder / "text_encoder_2").exists() or is_named(index, "text_encoder_2"):
        second = (read_part(folder / "text_encoder_2", TEXT_STEM), folder / "tokenizer_2")
    return BaseModel(
        place=folder,
        unet=read_part(folder / "unet", DIFFUSION),
        vae=read_part(folder / "vae", DIFFUSION),
        text=read_part(folder / "text_encoder", TEXT_STEM),
        scheduler=read_config(folder / "scheduler" / "scheduler_config.json"),
        tokenizer=folder / "tokenizer",
        second=second,
        index=index,
    ).checked()


def inspect_controlnet(folder: Path) -> Part:
    """The ControlNet in a folder. Raises ModelError if there is none, or it is damaged."""
    return read_part(folder, DIFFUSION, "; no ControlNet here, set `subfolder` to the folder that holds it")


def inspect_vae(folder: Path) -> Part:
    """The autoencoder in a folder, or in the folder `vae` of a pipeline. Raises ModelError if there is none."""
    inner = folder / "vae"
    inside = inner.is_dir() and not (folder / "config.json").exists()
    return read_part(
        inner if inside else folder, DIFFUSION, "; no autoencoder here, name the folder of an AutoencoderKL"
    )


def check_size(base: BaseModel, size: tuple[int, int]) -> None:
    """Raises ModelError if the base's latents have no such size. size: height and width in pixels."""
    step = base.shrink
    if any(side % step for side in size):
        pixels = " × ".join(map(str, size))
        raise ModelError(
            f"{base.place}: images of {pixels} pixels: this model needs multiples of {step}; set image.size"
        )


def _refuse_other_pipelines(folder: Path, index: Mapping[str, Any]) -> None:
    name = index.get("_class_name", "StableDiffusionPipeline")
    if not isinstance(name, str):
        raise ModelError(
            f"{folder / 'model_index.json'}: _class_name is {str(name)[:40]}, no name; fetch the file again"
        )
    if not name.startswith("StableDiffusion") or name.startswith("StableDiffusion3"):
        raise ModelError(f"{folder}: a {name}; {DRIVEN}; choose such a base and a ControlNet made for it")
    if "text_encoder" in index and not is_named(index, "text_encoder"):
        raise ModelError(
            f"{folder}: its model_index.json names no text_encoder (a refiner has none); take the base of that family"
        )


def _raise(faults: Iterator[str]) -> None:
    listed = list(faults)
    if listed:
        raise ModelError("\n".join(listed))
