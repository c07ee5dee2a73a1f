"""Pictures small enough to stand in the page itself: a JPEG, and over it the labels as a transparent PNG."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import cv2
import numpy as np
import PIL.Image

from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.io.provenance import marked
from earthsynth_factory.report.html.model import ImagePixels
from earthsynth_factory.report.sheets import OVERLAY, outlines

SIDE = 256
"""Longer side of a thumbnail, pixels; smaller images stay as they are."""

QUALITY = 82


@dataclass(frozen=True)
class Thumbnail:
    """image, labels: data URIs; labels: None if no mask was kept. size: (width, height)."""

    image: str
    labels: str | None
    size: tuple[int, int]

    @property
    def bytes(self) -> int:
        """Characters that it takes in the page."""
        return len(self.image) + len(self.labels or "")


def thumbnail(pixels: ImagePixels, taxonomy: Taxonomy) -> Thumbnail:
    """The picture and its labels, of one size."""
    height, width = pixels.image.shape[:2]
    factor = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(pixels.image, size, interpolation=cv2.INTER_AREA)
    labels = None
    if pixels.mask is not None and pixels.numbers is not None:
        mask, numbers = (cv2.resize(m, size, interpolation=cv2.INTER_NEAREST) for m in (pixels.mask, pixels.numbers))
        labels = _uri("png", _layer(mask, numbers, taxonomy))
    return Thumbnail(_uri("jpeg", marked(_jpeg(small), pixels.source)), labels, size)


def _jpeg(image: Image) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def _layer(mask: Mask, numbers: InstanceMap, taxonomy: Taxonomy) -> bytes:
    """Classes in their colours, let through; outlines of instances in white. Both arrays are (H, W)."""
    present = np.unique(mask)
    indices = np.searchsorted(present, mask).astype(np.uint8)
    palette = np.array(taxonomy.palette(), np.uint8).reshape(256, 3)[present]
    alpha = np.where(present > 0, round(255 * OVERLAY), 0).astype(np.uint8)
    if len(present) < 256:
        indices[outlines(numbers)] = len(present)
        palette, alpha = np.vstack([palette, [[255, 255, 255]]]), np.append(alpha, 255)
    picture = PIL.Image.fromarray(indices, "P")
    picture.putpalette(palette.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=alpha.astype(np.uint8).tobytes(), optimize=True)
    return buffer.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
