"""Pictures as prompts: an IP-Adapter put into a pipeline, and the embeddings of the pictures that seeds draw."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from torch import Tensor

from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.errors import ModelError, SourceError, first_line
from earthsynth_factory.io.rgb import read_rgb
from earthsynth_factory.models.style import MAX_PICTURES, Style


def add_style(pipe: Any, style: Style, encoder: Any) -> None:
    """Put the adapter into the pipeline's UNet, and the encoder beside it. Raises ModelError if its weights do not fit."""
    from transformers import CLIPImageProcessor

    side = encoder.config.image_size
    pipe.register_modules(image_encoder=encoder, feature_extractor=CLIPImageProcessor(size=side, crop_size=side))
    place, options = style.adapter, {"image_encoder_folder": None, "local_files_only": True}
    try:
        pipe.load_ip_adapter(str(place.parent), subfolder="", weight_name=place.name, **options)
    except Exception as error:  # diffusers raises many kinds for weights that do not fit; all mean the same to the user
        raise ModelError(f"{place}: not loadable as an IP-Adapter of this base: {first_line(error)}") from error
    processors = torch.nn.ModuleList(
        one for one in pipe.unet.attn_processors.values() if isinstance(one, torch.nn.Module)
    )
    for part in (pipe.unet.encoder_hid_proj, processors):
        if not all(bool(weight.isfinite().all()) for weight in part.parameters()):
            raise ModelError(f"{place}: holds NaN; fetch the file again")
    pipe.set_ip_adapter_scale(style.weight)


class StyleImages:
    """Embeddings of a style's pictures, each computed once and by itself."""

    def __init__(self, pipe: Any, style: Style, device: torch.device) -> None:
        self._pipe, self._style, self._device = pipe, style, device
        self._embed = lru_cache(maxsize=MAX_PICTURES)(self._embedded)

    def __call__(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(B, 1, D), or (B, 1, T, D) of a Plus adapter: of the picture that each image's seed draws, and of none.

        Raises ModelError if a picture cannot be read.
        """
        drawn = [self._embed(derive(seed, "style") % len(self._style.pictures)) for seed in seeds]
        shown, nothing = zip(*drawn, strict=True)
        return torch.cat(shown), torch.cat(nothing)

    def _embedded(self, number: int) -> tuple[Tensor, Tensor]:
        picture = PIL.Image.fromarray(_read(self._style.pictures[number]))
        found = self._pipe.encode_image(picture, self._device, 1, self._style.plus or None)
        return found[0][None], found[1][None]


def _read(path: Path) -> Any:
    try:
        return read_rgb(path)
    except SourceError as error:
        raise ModelError(f"style: {error}") from error
