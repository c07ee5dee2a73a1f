"""CLIP through open_clip: unit vectors of images and texts.

A model is named by a recipe in one of four ways: `embedded`; a folder with `open_clip_config.json` and
`open_clip_model.safetensors` (the layout open_clip itself saves for the hub); open_clip's own name and tag; or open_clip's
name of an architecture and a file of weights for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch.nn.functional import normalize

from earthsynth_factory.domain.sample import Image
from earthsynth_factory.errors import ModelError, first_line
from earthsynth_factory.models.clip_cache import EmbeddingCache, content_hash
from earthsynth_factory.models.clip_checkpoint import load_checkpoint
from earthsynth_factory.models.clip_files import ClipName, clip_checkpoint, clip_folder
from earthsynth_factory.models.device import pick_device, pick_dtype

BATCH = 16
"""Images to a call; shorter calls are filled up, so that a vector does not depend on its batch-mates."""


class ClipModel:
    """An image and a text tower on one device. Vectors are float32, of length 1, on the CPU."""

    def __init__(self, model: Any, preprocess: Any, tokenizer: Any, device: torch.device, dtype: torch.dtype) -> None:
        # Channels last: convolutions of a full batch take a fifth less time on a CPU.
        self._model = model.to(device=device, dtype=dtype, memory_format=torch.channels_last).eval()
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self._device = device
        self._dtype = dtype
        self._text = lru_cache(maxsize=4096)(self._text_uncached)
        self._cache: EmbeddingCache | None = None

    @property
    def cached_in(self) -> Path | None:
        """The file that vectors of images are kept in."""
        return self._cache.path if self._cache else None

    def remember(self, cache: EmbeddingCache | None) -> None:
        """Keep the vectors of images in `cache` from now on, and take known ones from it; None: no longer."""
        self._cache = cache

    @property
    def logit_scale(self) -> float:
        """What cosine similarities are multiplied with before a softmax, as the model learnt it."""
        return float(self._model.logit_scale.exp())

    def images(self, images: Sequence[Image]) -> torch.Tensor:
        """(N, D) vectors of (H, W, 3) uint8 images of any sizes."""
        if not images:
            return torch.empty(0, 0)
        return self._embed(images) if self._cache is None else self._remembered(images, self._cache)

    def _remembered(self, images: Sequence[Image], cache: EmbeddingCache) -> torch.Tensor:
        digests = [content_hash(image) for image in images]
        missing = {digest: image for digest, image in zip(digests, images, strict=True) if digest not in cache}
        if missing:
            cache.add(missing, self._embed(list(missing.values())).numpy())
        return torch.from_numpy(cache.vectors(digests))

    @torch.inference_mode()
    def _embed(self, images: Sequence[Image]) -> torch.Tensor:
        pixels = torch.stack([self._preprocess(PIL.Image.fromarray(image)) for image in images])
        return torch.cat([self._batch(pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)])

    def _batch(self, pixels: torch.Tensor) -> torch.Tensor:
        count = len(pixels)
        full = torch.cat([pixels, pixels[-1:].expand(BATCH - count, -1, -1, -1)])
        vectors: torch.Tensor = self._model.encode_image(full.to(self._device, self._dtype))
        return _unit(vectors[:count])

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """(N, D) vectors of texts, each computed by itself and remembered."""
        return torch.stack([self._text(text) for text in texts])

    @torch.inference_mode()
    def _text_uncached(self, text: str) -> torch.Tensor:
        tokens = self._tokenizer([text]).to(self._device)
        return _unit(self._model.encode_text(tokens))[0]


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    """(N, D) float32 of length 1 on the CPU; normalised after the conversion, since bfloat16 is off by 0.2 %."""
    return normalize(vectors.float().cpu(), dim=-1)


def load_clip(name: ClipName, base: Path, device_name: str) -> ClipModel:
    """The model of that name; whoever names the same one shares it, whatever they call it. Raises ModelError."""
    return _loaded(name, clip_checkpoint(name, base), clip_folder(name, base), pick_device(device_name))


@lru_cache(maxsize=2)
def _loaded(name: ClipName, file: Path | None, folder: Path | None, device: torch.device) -> ClipModel:
    """file, folder: where it lies, if it does here."""
    import open_clip

    if file is not None:
        assert not isinstance(name, str)
        model, preprocess, tokenizer = load_checkpoint(name.name, file)
        return ClipModel(model, preprocess, tokenizer, device, pick_dtype("auto", device))
    target = f"local-dir:{folder}" if folder else str(name if isinstance(name, str) else name.name)
    tag = None if folder or isinstance(name, str) else name.pretrained
    try:
        model, preprocess = open_clip.create_model_from_pretrained(target, pretrained=tag, weights_only=True)
        tokenizer = open_clip.get_tokenizer(target)
    except Exception as error:  # open_clip raises many kinds; to the user all mean that the model is not available
        raise ModelError(
            f"CLIP {target}{f' ({tag})' if tag else ''} cannot be loaded: {first_line(error)}\n{_remedy(name)}"
        ) from error
    return ClipModel(model, preprocess, tokenizer, device, pick_dtype("auto", device))


def _remedy(name: ClipName) -> str:
    if isinstance(name, str):
        return "  The folder is damaged or was saved by another version of open_clip; save it again"
    return (
        f'  With a network:  python -c "import open_clip; open_clip.create_model({name.name!r}, {name.pretrained!r})"\n'
        "  Without one:     set `model: embedded` in the rule, or a folder that holds the model"
    )


def crop_square(image: Image, box: tuple[int, int, int, int], context: float, least: int) -> Image:
    """A square around a box (x, y, width, height): its longer side times `context`, at least `least` pixels.

    Where the square leaves the image it is moved back inside, and cut to the image where it is larger.
    """
    height, width = image.shape[:2]
    x, y, box_width, box_height = box
    side = min(max(round(max(box_width, box_height) * context), least), height, width)
    left = int(np.clip(x + box_width / 2 - side / 2, 0, width - side))
    top = int(np.clip(y + box_height / 2 - side / 2, 0, height - side))
    return image[top : top + side, left : left + side]


def clip_facts(name: ClipName, base: Path) -> Mapping[str, Any]:
    """For the run record: what was loaded."""
    local = clip_folder(name, base) or clip_checkpoint(name, base)
    return {"clip": str(name) if isinstance(name, str) else f"{name.name} ({name.pretrained})", "local": bool(local)}
