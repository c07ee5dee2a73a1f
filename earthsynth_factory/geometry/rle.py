"""COCO's compressed run lengths, the truth of a mask. Column-major, as in the COCO format."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

BoolMask = npt.NDArray[np.bool_]


def encode(mask: BoolMask) -> str:
    """The `counts` text of an (H, W) mask."""
    return encode_all(mask[None])[0]


def encode_all(masks: BoolMask) -> list[str]:
    """The `counts` texts of (N, H, W) masks; one pass over a Fortran-ordered stack is the fastest way."""
    if not len(masks):
        return []
    stack = np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8)
    return [run["counts"].decode("ascii") for run in coco.encode(stack)]


def decode(counts: str, height: int, width: int) -> BoolMask:
    """The (H, W) mask of a `counts` text."""
    found = coco.decode({"size": [height, width], "counts": counts.encode("ascii")})
    return np.ascontiguousarray(found, dtype=np.bool_)
