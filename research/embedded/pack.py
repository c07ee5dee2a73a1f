"""Crops in one small file: JPEG images and PNG masks inside a safetensors container (no pickle), for moving to a GPU."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from research.embedded.crops import CropSet

JPEG_QUALITY = 87
_KEYS = frozenset({"images", "image_ends", "masks", "mask_ends", "metres_per_pixel", "focus", "dense"})


def pack(crops: CropSet, path: Path) -> int:
    """Writes the crops and gives the file's size in bytes. Images lose what JPEG 4:2:0 at quality 87 loses; masks nothing."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    images = [cv2.imencode(".jpg", image[..., ::-1], quality)[1].ravel() for image in crops.images]
    masks = [np.frombuffer(encode_png(mask), np.uint8) for mask in crops.masks]
    data = save(
        {
            "images": np.concatenate(images),
            "image_ends": np.cumsum([len(one) for one in images]),
            "masks": np.concatenate(masks),
            "mask_ends": np.cumsum([len(one) for one in masks]),
            "metres_per_pixel": crops.metres_per_pixel,
            "focus": crops.focus,
            "dense": crops.dense,
        }
    )
    write_bytes(path, data)
    return len(data)


def unpack(path: Path) -> CropSet:
    """The crops of a packed file. Raises `SourceError` if it is missing or not one of ours."""
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise SourceError(f"{path}: not a crop file ({error}); make it again from the imported datasets") from error
    if stored.keys() != _KEYS:
        raise SourceError(f"{path}: not a crop file (holds {sorted(stored)}); make it again from the imported datasets")
    images = [_decode(one, cv2.IMREAD_COLOR, path)[..., ::-1] for one in _parts(stored["images"], stored["image_ends"])]
    masks = [_decode(one, cv2.IMREAD_UNCHANGED, path) for one in _parts(stored["masks"], stored["mask_ends"])]
    return CropSet(np.stack(images), np.stack(masks), stored["metres_per_pixel"], stored["focus"], stored["dense"])


def _decode(data: npt.NDArray[np.uint8], flags: int, path: Path) -> npt.NDArray[np.uint8]:
    pixels = cv2.imdecode(data, flags)
    if pixels is None:
        raise SourceError(f"{path}: holds a damaged image; make it again from the imported datasets")
    return np.asarray(pixels, dtype=np.uint8)


def _parts(joined: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> list[npt.NDArray[np.uint8]]:
    return np.split(joined, ends[:-1])
