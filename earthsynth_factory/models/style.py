"""IP-Adapters (arXiv 2308.06721), pictures as prompts: read off headers and configurations. No torch here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from earthsynth_factory.errors import ModelError
from earthsynth_factory.io.raster_files import SUFFIXES
from earthsynth_factory.models.fit import text_width
from earthsynth_factory.models.part import TEXT_STEM, Part, read_part
from earthsynth_factory.models.safetensors_file import TensorFacts, read_header

MAX_PICTURES = 1000
"""Most pictures to draw a style from."""

_TO_K = ".to_k_ip.weight"


@dataclass(frozen=True, slots=True)
class Style:
    """An IP-Adapter with its image encoder, and the pictures that styles are drawn from. weight: how strongly they act.

    plus: whether it takes the encoder's last layer but one. width: of what it takes. text: width of the text that its UNet
    reads.
    """

    adapter: Path
    encoder: Part
    pictures: tuple[Path, ...]
    weight: float
    plus: bool
    width: int
    text: int


def read_style(adapter: Path, encoder: Path, pictures: Path, weight: float) -> Style:
    """The adapter in a safetensors file. Raises ModelError if it, its encoder or its pictures are not available."""
    header = read_header(adapter)
    strange = [name for name in header if not name.startswith(("image_proj.", "ip_adapter."))]
    keys = [facts for name, facts in header.items() if name.endswith(_TO_K)]
    if strange or not keys:
        raise ModelError(f"{adapter}: no IP-Adapter ({(strange or ['without ' + _TO_K])[0]}); name another file")
    plus, width = _projection(adapter, header)
    part = read_part(
        encoder, TEXT_STEM, "; no image encoder here, set `encoder` to the folder of a CLIPVisionModelWithProjection"
    )
    return Style(adapter, part, _pictures(pictures), weight, plus, width, _width(adapter, keys[0]))


def style_faults(style: Style, unet: Part) -> Iterator[str]:
    """Where the adapter does not belong to the base, or the encoder not to the adapter."""
    kind = str((style.encoder.get("architectures") or ["CLIPVisionModelWithProjection"])[0])
    if not kind.startswith("CLIPVision"):
        yield f"{style.encoder.folder}: a {kind}; CLIPVisionModelWithProjection is driven here"
        return
    given = style.encoder.get("hidden_size" if style.plus else "projection_dim")
    if given is not None and given != style.width:
        taken = f"{style.adapter}: takes pictures of width {style.width}"
        yield f"{taken}, {style.encoder.folder} gives {given}; take its own encoder"
    wide = text_width(unet)
    if wide is not None and wide != style.text:
        yield (
            f"{style.adapter}: made for text of width {style.text}, {unet.folder} reads {wide}: an IP-Adapter of another "
            "family; take one made for this base"
        )


def _projection(adapter: Path, header: dict[str, TensorFacts]) -> tuple[bool, int]:
    """Whether it takes the encoder's last layer but one (Plus), and the width of what it takes."""
    if "image_proj.proj.weight" in header:
        return False, _width(adapter, header["image_proj.proj.weight"])
    if "image_proj.latents" in header and "image_proj.proj_in.weight" in header:
        return True, _width(adapter, header["image_proj.proj_in.weight"])
    raise ModelError(f"{adapter}: an IP-Adapter for faces; plain ones and Plus are driven here")


def _width(adapter: Path, weight: TensorFacts) -> int:
    """Of what a linear layer takes."""
    if len(weight.shape) != 2:
        raise ModelError(f"{adapter}: a layer of shape {weight.shape} where a linear one is due; fetch the file again")
    return weight.shape[1]


def _pictures(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; `images` is a folder of pictures, from the recipe's folder")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not 0 < len(found) <= MAX_PICTURES:
        raise ModelError(f"{folder}: {len(found)} pictures; 1 to {MAX_PICTURES} are taken to draw styles from")
    return tuple(found)
