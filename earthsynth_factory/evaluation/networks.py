"""Networks by task: a head of torchvision's on a backbone, its loss, and what it sees in an image.

Images are (B, 3, S, S) in [-1, 1]. Columns count from 0 = background.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earthsynth_factory.evaluation.backbones import Levels, open_backbone, replace_batch_norm
from earthsynth_factory.evaluation.classes import IGNORE
from earthsynth_factory.evaluation.spec import NetworkSpec, Task
from earthsynth_factory.evaluation.views import Seen

LOW, HIGH = 4, 16
"""Strides of the two maps that segmentation looks at."""
PYRAMID = (4, 8, 16, 32)
"""Strides that objects are sought at: those of a few pixels too."""
WIDTH, DEPTH = 64, 2
"""Channels and convolutions of the detector's head."""
LEAST_SCORE, MOST_FOUND = 0.05, 100
"""Of an object that is reported, and of how many an image."""


class TaskNetwork(Protocol):
    """A network that can be trained and asked."""

    def loss(self, batch: Sequence[Seen], device: torch.device) -> Tensor:
        """One number for the batch."""
        ...

    def look(self, images: npt.NDArray[np.uint8], device: torch.device) -> list[Any]:
        """What is seen in each of (B, S, S, 3): a mask of columns (S, S); rows (column, x1, y1, x2, y2, score); a column."""
        ...


def tensor_of(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """(B, S, S, 3) → (B, 3, S, S) in [-1, 1], channels last in memory."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


class SegmentationNetwork(nn.Module):
    """LR-ASPP (Howard et al. 2019)."""

    def __init__(self, backbone: Levels, columns: int) -> None:
        from torchvision.models.segmentation import LRASPP

        super().__init__()
        named = _Named(backbone)
        self.network = LRASPP(named, backbone.channels[LOW], backbone.channels[HIGH], columns)
        replace_batch_norm(self.network.classifier)

    def loss(self, batch: Sequence[Seen], device: torch.device) -> Tensor:
        """Mean cross-entropy over the pixels that say anything; 0 if none does."""
        logits = self.network(tensor_of(np.stack([one.image for one in batch]), device))["out"]
        truth = torch.from_numpy(np.stack([one.mask for one in batch])).long().to(device)
        total = F.cross_entropy(logits, truth, ignore_index=IGNORE, reduction="sum")
        return total / (truth != IGNORE).sum().clamp(min=1)

    def look(self, images: npt.NDArray[np.uint8], device: torch.device) -> list[Any]:
        """Masks of columns."""
        found = self.network(tensor_of(images, device))["out"].argmax(dim=1)
        return list(found.to(torch.uint8).cpu().numpy())


class _Named(nn.Module):
    """Two maps of a backbone under the names that LR-ASPP asks for."""

    def __init__(self, backbone: Levels) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.backbone(images)
        return {"low": maps[LOW], "high": maps[HIGH]}


class Detector(nn.Module):
    """FCOS (Tian et al. 2019) on a feature pyramid."""

    def __init__(self, backbone: Levels, columns: int, side: int) -> None:
        from torchvision.models.detection import FCOS
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.fcos import FCOSHead

        super().__init__()
        anchors = AnchorGenerator(tuple((stride,) for stride in PYRAMID), ((1.0,),) * len(PYRAMID))
        self.network = FCOS(
            _Pyramid(backbone),
            columns,
            min_size=side,
            max_size=side,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            anchor_generator=anchors,
            head=FCOSHead(WIDTH, 1, columns, num_convs=DEPTH),
            score_thresh=LEAST_SCORE,
            detections_per_img=MOST_FOUND,
        )

    def loss(self, batch: Sequence[Seen], device: torch.device) -> Tensor:
        """Sum of FCOS's losses."""
        images = _unit(np.stack([one.image for one in batch]), device)
        targets = [
            {"boxes": torch.from_numpy(one.boxes).to(device), "labels": torch.from_numpy(one.columns).to(device)}
            for one in batch
        ]
        losses: dict[str, Tensor] = self.network(list(images), targets)
        return torch.stack(list(losses.values())).sum()

    def look(self, images: npt.NDArray[np.uint8], device: torch.device) -> list[Any]:
        """Rows of numbers: column, x1, y1, x2, y2, score."""
        return [
            torch.cat([one["labels"][:, None].float(), one["boxes"], one["scores"][:, None]], dim=1).cpu().numpy()
            for one in self.network(list(_unit(images, device)))
        ]


class _Pyramid(nn.Module):
    def __init__(self, backbone: Levels) -> None:
        from torchvision.ops import FeaturePyramidNetwork

        super().__init__()
        self.backbone, self.out_channels = backbone, WIDTH
        self.pyramid = FeaturePyramidNetwork([backbone.channels[stride] for stride in PYRAMID], WIDTH)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.backbone(images)
        found: dict[str, Tensor] = self.pyramid({str(stride): maps[stride] for stride in PYRAMID})
        return found


class Classifier(nn.Module):
    """A linear layer on the mean of the last map."""

    def __init__(self, backbone: Levels, columns: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.top = backbone.strides[-1]
        self.head = nn.Linear(backbone.channels[self.top], columns)

    def _logits(self, images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
        logits: Tensor = self.head(self.backbone(tensor_of(images, device))[self.top].mean(dim=(2, 3)))
        return logits

    def loss(self, batch: Sequence[Seen], device: torch.device) -> Tensor:
        """Cross-entropy against the column that covers most of each image; one without any says nothing."""
        columns = self.head.out_features
        counts = [np.bincount(one.mask.ravel(), minlength=256)[1:columns] for one in batch]
        truth = torch.tensor([int(one.argmax()) + 1 if one.any() else -1 for one in counts], device=device)
        logits = self._logits(np.stack([one.image for one in batch]), device)
        total = F.cross_entropy(logits, truth, ignore_index=-1, reduction="sum")
        return total / (truth >= 0).sum().clamp(min=1)

    def look(self, images: npt.NDArray[np.uint8], device: torch.device) -> list[Any]:
        """Columns from 1 on: an image without a class is not asked about."""
        found: list[Any] = (self._logits(images, device)[:, 1:].argmax(dim=1) + 1).cpu().tolist()
        return found


def _unit(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """(B, S, S, 3) → (B, 3, S, S) in [0, 1], as torchvision's detectors take them."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255


def open_network(
    task: Task, spec: NetworkSpec, columns: int, side: int, seed: int
) -> SegmentationNetwork | Detector | Classifier:
    """The network with first weights that `seed` decides. Raises as `open_backbone`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = open_backbone(spec)
        if task == "segment":
            return SegmentationNetwork(backbone, columns)
        return Detector(backbone, columns, side) if task == "detect" else Classifier(backbone, columns)
