"""Contact sheets as PNG: what training looks like."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.atomic import write_bytes


def paint(masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Category ids (…) → the taxonomy's colours, uint8 RGB (…, 3). The palette control image of the embedded model."""
    palette = np.array(earthsynth().palette(), np.uint8).reshape(256, 3)
    return palette[masks]


def save_grid(path: Path, bands: list[list[npt.NDArray[np.uint8]]]) -> None:
    """Writes bands of rows: every row is RGB uint8 (N, S, S, 3), its images side by side."""
    rows = [np.concatenate(list(row), axis=1) for band in bands for row in band]
    sheet = np.concatenate(rows, axis=0)
    write_bytes(path, bytes(cv2.imencode(".png", sheet[..., ::-1])[1]))
