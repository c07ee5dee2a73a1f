"""Stage 5: a small open_clip model, trained contrastively on object and land-cover patches with their category texts.

Shapes: patches (B, 3, s, s), normalised; texts (K, context) tokens. Plain open_clip classes and folder layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import open_clip
import torch
from torch import Tensor
from torch.nn import functional as F

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.training import order
from earthsynth_factory.training.checkpoint import pack_optimizer, unpack_optimizer
from earthsynth_factory.training.order import dihedral
from earthsynth_factory.training.schedule import warmup_cosine
from research.embedded.crops import CropSet
from research.embedded.loop import descend
from research.embedded.precision import autocast
from research.embedded.recipe import ClipSpec
from research.embedded.state import pack_modules, unpack_modules
from research.grids import save_grid

TEMPLATES = ("A satellite image of {}", "a photo of a {}", "{}", "an aerial image of a {}", "a satellite photo of {}")
MEAN, DEVIATION = (0.42, 0.42, 0.40), (0.21, 0.20, 0.20)
MARGIN = (1.05, 1.8)
"""Side of an object's patch in multiples of its longest side, drawn uniformly."""

MIN_AREA = 24
"""Objects of fewer pixels in the 128-pixel crop are left out: nothing can be told from them."""

WARMUP = 100


@dataclass(frozen=True, slots=True)
class Patches:
    """Where things are: crop index, category, and square (left, top, side) in crop pixels; all int64 (P,) or (P, 3)."""

    crop: npt.NDArray[np.int64]
    category: npt.NDArray[np.int64]
    square: npt.NDArray[np.int64]


def find_patches(crops: CropSet) -> Patches:
    """Every object (connected component of a `thing`), and half-size windows if one land cover takes 60 %."""
    rows: list[tuple[int, int, int, int, int]] = []
    things = {category.id for category in earthsynth() if category.thing}
    for index, mask in enumerate(crops.masks):
        for category in set(np.unique(mask).tolist()) - {0}:
            here = (mask == category).astype(np.uint8)
            squares = _object_squares(here) if category in things else _cover_squares(here)
            rows += [(index, category, *square) for square in squares]
    table = np.array(rows, np.int64).reshape(-1, 5)
    return Patches(table[:, 0], table[:, 1], table[:, 2:])


def _object_squares(here: npt.NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    _, _, stats, _ = cv2.connectedComponentsWithStats(here, connectivity=8)
    return [
        (int(x + w / 2 - max(w, h) / 2), int(y + h / 2 - max(w, h) / 2), int(max(w, h)))
        for x, y, w, h, area in stats[1:].tolist()
        if area >= MIN_AREA
    ]


def _cover_squares(here: npt.NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    side = here.shape[0] // 2
    places = [(x, y) for y in (0, side // 2, side) for x in (0, side // 2, side)]
    return [(x, y, side) for x, y in places if here[y : y + side, x : x + side].mean() > 0.6]


def configuration(spec: ClipSpec) -> dict[str, Any]:
    """open_clip's model configuration: a slim ResNet beside a tiny text transformer."""
    return {
        "embed_dim": spec.embed,
        "vision_cfg": {
            "image_size": spec.size,
            "layers": list(spec.blocks),
            "width": spec.width,
            "head_width": 64,
        },
        "text_cfg": {
            "context_length": 32,
            "vocab_size": 49408,
            "width": spec.text_width,
            "heads": 4,
            "layers": spec.text_layers,
        },
    }


def build(spec: ClipSpec) -> open_clip.CLIP:
    """A fresh model."""
    return open_clip.CLIP(**configuration(spec))


class ClipStage:
    """Every batch holds the categories in equal parts, each against the texts of all others: rare classes, hard negatives."""

    name = "clip"

    def __init__(self, spec: ClipSpec, crops: CropSet, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.spec, self.seed, self.device, self.batch, self.crops = spec, seed, device, spec.batch, crops
        self.patches = find_patches(crops)
        self.categories = np.unique(self.patches.category)
        self.members = [np.flatnonzero(self.patches.category == c) for c in self.categories]
        self.model = build(spec).to(device)
        self.parameters = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=spec.lr, betas=(0.9, 0.98), weight_decay=0.05)
        self.tokens = tokens_of(self.categories.tolist()).to(device)

    def step(self, number: int) -> dict[str, float]:
        """Cross-entropy of each patch over all categories' texts, in one random wording a step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.lr * warmup_cosine(number, self.spec.steps, WARMUP)
        random = order.rng(self.seed, "clip", number)
        target = random.integers(0, len(self.categories), self.batch)
        picks = [int(random.choice(self.members[t])) for t in target]
        images = normalised(np.stack([self._patch(p, random) for p in picks]), self.device)
        texts = self.tokens[int(random.integers(len(TEMPLATES)))]
        with autocast(self.device):
            seen, read, scale = self.model(images, texts)
        logits = scale.float() * seen.float() @ read.float().T
        loss = F.cross_entropy(logits, torch.from_numpy(target).to(self.device), label_smoothing=0.05)
        descend(self.optimizer, self.parameters, loss)
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, 4.6)
        right = (logits.argmax(1).cpu().numpy() == target).mean()
        return {"loss": float(loss.detach()), "right": float(right)}

    def state(self) -> dict[str, Tensor]:
        """Weights and moments."""
        return pack_modules({"model": self.model}) | pack_optimizer("optimizer", self.optimizer)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        unpack_modules({"model": self.model}, tensors)
        unpack_optimizer("optimizer", self.optimizer, tensors)

    def sample(self, path: Path) -> None:
        """A row of patches for each category: what the model is shown."""
        random = order.rng(self.seed, "shown")
        rows = [np.stack([self._patch(int(p), random) for p in random.choice(m, 10)]) for m in self.members]
        save_grid(path, [rows])

    def _patch(self, index: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
        left, top, side = self.patches.square[index].tolist()
        factor = random.uniform(*MARGIN) if side < self.crops.images.shape[1] // 2 else 1.0
        image = window(self.crops.images[self.patches.crop[index]], left, top, side, factor, self.spec.size)
        bright = np.clip(image.astype(np.float32) * random.uniform(0.8, 1.2) + random.uniform(-15, 15), 0, 255)
        return dihedral(bright.astype(np.uint8), int(random.integers(8)))


def window(
    image: npt.NDArray[np.uint8], left: int, top: int, side: int, factor: float, size: int
) -> npt.NDArray[np.uint8]:
    """The square around its own centre, `factor` times as large, kept inside the image (S, S, 3); (size, size, 3)."""
    limit = image.shape[0]
    grown = int(np.clip(round(side * factor), 12, limit))
    x = int(np.clip(left + side / 2 - grown / 2, 0, limit - grown))
    y = int(np.clip(top + side / 2 - grown / 2, 0, limit - grown))
    part = image[y : y + grown, x : x + grown]
    how = cv2.INTER_AREA if grown > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (size, size), interpolation=how), dtype=np.uint8)


def patch_images(crops: CropSet, patches: Patches, size: int) -> list[npt.NDArray[np.uint8]]:
    """Every patch as CLIP is tested on it, (size, size, 3): objects with a margin of 1.3, land cover as it is."""
    half = crops.images.shape[1] // 2
    squares = zip(patches.crop, patches.square.tolist(), strict=True)
    return [
        window(crops.images[i], left, top, side, 1.3 if side < half else 1.0, size) for i, (left, top, side) in squares
    ]


def tokens_of(categories: list[int]) -> Tensor:
    """Tokens int64 (templates, K, context) of the categories' texts, by open_clip's own tokenizer."""
    tokenizer = open_clip.SimpleTokenizer(context_length=32)
    words = [earthsynth()[c].words for c in categories]
    return torch.stack([tokenizer([template.format(word) for word in words]) for template in TEMPLATES])


def normalised(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (B, s, s, 3) → float32 (B, 3, s, s), by the mean and deviation that the folder's config declares."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(v, device=device)[:, None, None] for v in (MEAN, DEVIATION))
    return (tensor - mean) / deviation


@torch.no_grad()
def zero_shot(model: open_clip.CLIP, crops: CropSet, size: int, device: torch.device) -> dict[int, tuple[int, int]]:
    """Category → (right, tried): top-1 among all categories that `crops` holds, first template, margin 1.3."""
    model.eval()
    patches = find_patches(crops)
    categories = np.unique(patches.category)
    texts = model.encode_text(tokens_of(categories.tolist())[0].to(device), normalize=True)
    images = patch_images(crops, patches, size)
    best = [
        (model.encode_image(normalised(np.stack(images[s : s + 128]), device), normalize=True) @ texts.T)
        .argmax(1)
        .cpu()
        for s in range(0, len(images), 128)
    ]
    right = categories[torch.cat(best).numpy()] == patches.category
    return {int(c): (int(right[patches.category == c].sum()), int((patches.category == c).sum())) for c in categories}
