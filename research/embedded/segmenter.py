"""The segmenter's training, on crops some of which are labelled only in part.

A dense source labels every pixel. A sparse one labels all objects of some categories and nothing else: where its masks
say background, the pixel shows none of *those* categories, and whether it is water or a roof is not known. So such a
pixel's loss is −log of the summed probability of all categories that sparse sources do not label (Cour, Sapp and Taskar,
Learning from Partial Labels, 2011). It teaches where objects end and never what lies around them.

The network answers per cell of 4 × 4 pixels. A step compares each cell with one pixel of it, the same one in all cells
and another in every step, so that over the steps every pixel counts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from earthsynth_factory.models.segmenter import CELL, Segmenter, SegmenterConfig, SegmenterNetwork, normalised
from earthsynth_factory.training import order
from earthsynth_factory.training.checkpoint import pack_optimizer, unpack_optimizer
from earthsynth_factory.training.order import dihedral
from earthsynth_factory.training.schedule import warmup_cosine
from research.embedded.crops import CropSet
from research.embedded.loop import Pace, descend, train
from research.embedded.recipe import SegmenterSpec
from research.embedded.state import pack_modules, unpack_modules
from research.grids import paint, save_grid

WARMUP = 20
LIGHT = 0.2
"""Largest change of brightness and of contrast, as a share."""


def sparse_categories(crops: CropSet) -> tuple[int, ...]:
    """Ids that sparsely labelled crops hold: those whose absence their background vouches for."""
    counts = np.bincount(crops.masks[~crops.dense].ravel(), minlength=256)
    return tuple(int(i) for i in np.flatnonzero(counts) if i)


class SegmenterStage:
    """A stage of `loop.train`; `crops` are seen turned, mirrored and in changing light."""

    name = "segmenter"

    def __init__(self, spec: SegmenterSpec, crops: CropSet, seed: int, device: torch.device) -> None:
        self.spec, self.crops, self.seed, self.device, self.batch = spec, crops, seed, device, spec.batch
        present = np.flatnonzero(np.bincount(crops.masks.ravel(), minlength=256)).tolist()
        self.config = SegmenterConfig(categories=tuple(sorted({0, *present})), widths=spec.widths)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = SegmenterNetwork(self.config)
        self.network.to(device).to(memory_format=torch.channels_last)
        self._columns = np.full(256, -1, np.int64)
        self._columns[list(self.config.categories)] = np.arange(len(self.config.categories))
        sparse = sparse_categories(crops)
        self._open = torch.tensor([c not in sparse for c in self.config.categories], device=device)
        self._weights = torch.from_numpy(category_weights(crops, self.config.categories)).to(device)
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=spec.lr, weight_decay=1e-2)

    def step(self, number: int) -> dict[str, float]:
        """One step on one batch."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.spec.lr * warmup_cosine(number, self.spec.steps, WARMUP)
        images, columns, partial = self._batch(number)
        self.network.train()
        loss = partial_label_loss(self.network(images), columns, partial, self._open, self._weights)
        descend(self._optimizer, list(self.network.parameters()), loss)
        return {"loss": float(loss.detach())}

    def state(self) -> dict[str, Tensor]:
        """Weights and moments."""
        return pack_modules({"network": self.network}) | pack_optimizer("optimizer", self._optimizer)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        unpack_modules({"network": self.network}, tensors)
        unpack_optimizer("optimizer", self._optimizer, tensors)

    def sample(self, path: Path) -> None:
        """Crops, their masks, and what the network sees in them."""
        picks = np.linspace(0, len(self.crops) - 1, 12).astype(int)
        images = self.crops.images[picks]
        save_grid(path, [[images, paint(self.crops.masks[picks]), paint(self.segmenter().predict(images))]])

    def segmenter(self) -> Segmenter:
        """The network as it stands, ready for use. It shares the weights."""
        return Segmenter(self.network, self.config, self.device)

    def _batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        picks = order.batch(self.seed, number, len(self.crops), self.batch)
        random = order.rng(self.seed, "segmenter", number)
        turns = random.integers(0, 8, len(picks)).tolist()
        images = np.stack(
            [_relit(dihedral(self.crops.images[i], t), random) for i, t in zip(picks, turns, strict=True)]
        )
        masks = np.stack([dihedral(self.crops.masks[i], t) for i, t in zip(picks, turns, strict=True)])
        y, x = random.integers(0, CELL, 2)
        masks = masks[:, y::CELL, x::CELL]
        partial = (masks == 0) & ~self.crops.dense[picks, None, None]
        columns = torch.from_numpy(self._columns[masks]).to(self.device)
        return normalised(images, self.device), columns, torch.from_numpy(partial).to(self.device)


def category_weights(crops: CropSet, categories: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """A weight for each category: its share of pixels to the power of −1/3.

    Between the square root, under which rare objects spill over their borders, and the fourth root, under which the
    rarest were not learnt at all in 600 steps.
    """
    counts = np.bincount(crops.masks.ravel(), minlength=256)[list(categories)]
    return np.asarray((np.maximum(counts, 1) / crops.masks.size) ** (-1 / 3), np.float32)


def partial_label_loss(logits: Tensor, columns: Tensor, partial: Tensor, allowed: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of −log p: of the labelled category, or, if `partial`, of all `allowed` categories together.

    logits (B, K, H, W); columns int64 (B, H, W), the labelled category's place; partial bool (B, H, W); allowed bool (K,);
    weights (K,), by the labelled category.
    """
    logs = F.log_softmax(logits, dim=1)
    own = logs.gather(1, columns[:, None])[:, 0]
    any_of = logs[:, allowed].logsumexp(dim=1)
    weight = weights[columns]
    return -(weight * torch.where(partial, any_of, own)).sum() / weight.sum()


def train_segmenter(crops: CropSet, spec: SegmenterSpec, folder: Path, seed: int, device: torch.device) -> Segmenter:
    """The segmenter of these crops; goes on from the newest checkpoint in `folder`. Raises `Interrupted` when stopped."""
    stage = SegmenterStage(spec, crops, seed, device)
    train(stage, folder, Pace(spec.steps, sample=max(1, spec.steps), save=100))
    return stage.segmenter()


def _relit(image: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    gain, lift = 1 + random.uniform(-LIGHT, LIGHT), 128 * random.uniform(-LIGHT, LIGHT)
    table: npt.NDArray[np.uint8] = np.clip(np.arange(256) * gain + lift, 0, 255).astype(np.uint8)
    return np.asarray(table[image])
