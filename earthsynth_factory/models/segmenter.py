"""A small segmenter: which category each pixel of an image shows.

A U-Net in outline (an encoder, a decoder, skips between them), narrow enough for a CPU: it works on cells of 4 × 4
pixels and adds its skips instead of concatenating them. Some 0.7 million weights.

Shapes: images uint8 (N, H, W, 3); masks uint8 (N, H, W); K categories in ascending id, background first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.errors import ModelError, first_line
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.models.device import pick_device

CONFIG, WEIGHTS = "segmenter.json", "segmenter.safetensors"
MAX_CONFIG_BYTES = 1 << 16

CELL = 4
"""Side in pixels of the square that the network sees as one position."""

BATCH = 16
"""Most images to a call. Shorter calls are filled up, so that a mask does not depend on its batch-mates."""

PIXELS = 16 * 128**2
"""Pixels to a call, or one image: of larger images fewer make a call, by their size alone."""


class SegmenterConfig(Spec):
    """What the network's shape follows from, and what its outputs mean."""

    categories: tuple[int, ...] = Field(min_length=2, max_length=255)
    """Category id of each output, ascending, 0 (background) first."""
    widths: tuple[int, ...] = Field(default=(32, 64, 128, 160), min_length=2, max_length=6)
    """Channels at strides 4, 8, 16, …"""

    @property
    def stride(self) -> int:
        """Sides of images are filled up to a multiple of this."""
        return CELL * int(2 ** (len(self.widths) - 1))


class SegmenterNetwork(nn.Module):
    """Images (B, 3, H, W) in [-1, 1], sides a multiple of the stride → logits (B, K, H / CELL, W / CELL)."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        widths = config.widths
        pairs = list(pairwise(widths))
        self.stem = nn.Sequential(_convolution(3 * CELL**2, widths[0]), _convolution(widths[0], widths[0]))
        self.down = nn.ModuleList(nn.Sequential(_convolution(a, b, 2), _convolution(b, b)) for a, b in pairs)
        self.lateral = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.up = nn.ModuleList(_convolution(a, a) for a, _ in pairs)
        self.head = nn.Conv2d(widths[0], len(config.categories), 1)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        x = self.stem(F.pixel_unshuffle(images, CELL))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for lateral, up in zip(reversed(self.lateral), reversed(self.up), strict=True):
            x = up(skips.pop() + F.interpolate(lateral(x), scale_factor=2.0))
        logits: Tensor = self.head(x)
        return logits


class Segmenter:
    """A trained network on one device. Pictures of any size; the same picture gives the same mask in any company."""

    def __init__(self, network: SegmenterNetwork, config: SegmenterConfig, device: torch.device) -> None:
        self.config = config
        self._device = device
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()

    @property
    def categories(self) -> tuple[int, ...]:
        """Category id of each score map."""
        return self.config.categories

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The likeliest category id of every pixel, (N, H, W)."""
        ids = torch.tensor(self.categories, dtype=torch.uint8)
        found = [ids[logits.argmax(1).cpu()] for logits in self._batches(images)]
        return np.asarray(torch.cat(found).numpy())

    def scores(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probability of every category at every pixel, (N, K, H, W) in [0, 1], in the order of `categories`."""
        return np.asarray(torch.cat([logits.softmax(1).cpu() for logits in self._batches(images)]).numpy())

    def save(self, folder: Path) -> None:
        """Writes `segmenter.json` and `segmenter.safetensors`."""
        weights = {name: tensor.cpu().contiguous() for name, tensor in self._network.state_dict().items()}
        write_bytes(folder / WEIGHTS, save(weights))
        write_bytes(folder / CONFIG, self.config.model_dump_json(indent=1).encode() + b"\n")

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """The inverse of `save`. Raises ModelError if a file is missing, damaged or of another shape."""
        config = _read_config(folder / CONFIG)
        network = SegmenterNetwork(config)
        try:
            network.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ModelError(
                f"{folder / WEIGHTS}: not this segmenter's weights ({first_line(error)}); train it again"
            ) from error
        return cls(network, config, pick_device(device))

    @torch.inference_mode()
    def _batches(self, images: npt.NDArray[np.uint8]) -> Iterator[Tensor]:
        """Logits (≤ BATCH, K, H, W), batch by batch."""
        height, width = images.shape[1:3]
        batch = min(BATCH, max(1, PIXELS // (height * width)))
        for start in range(0, len(images), batch):
            pixels = normalised(images[start : start + batch], self._device)
            count, stride = len(pixels), self.config.stride
            full = torch.cat([pixels, pixels[-1:].expand(batch - count, -1, -1, -1)])
            full = F.pad(full, (0, -width % stride, 0, -height % stride), mode="replicate")
            coarse = self._network(full.contiguous(memory_format=torch.channels_last))
            logits = F.interpolate(coarse, scale_factor=float(CELL), mode="bilinear")
            yield logits[:count, :, :height, :width]


def normalised(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (B, H, W, 3) → float32 (B, 3, H, W) in [-1, 1], channels last."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2)
    return (tensor.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _read_config(path: Path) -> SegmenterConfig:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ModelError(f"{path}: {path.stat().st_size} bytes is too large for a segmenter's configuration")
        return SegmenterConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: no segmenter here ({error.strerror}); train one") from error
    except ValidationError as error:
        raise ModelError(f"{path}: not a segmenter's configuration: {error.errors()[0]['msg']}") from error


def _convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))
