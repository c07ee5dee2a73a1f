"""Contact sheets: for every category held-out masks, what was generated for them, both together, and the real images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.report.sheets import grid, overlay, to_png
from research.embedded.crops import CropSet
from research.grids import paint

COLUMNS = 8
OVERVIEW_COLUMNS = 2
"""Examples of each category in the overview: mask, generated and real image of each."""


def write_sheets(real: CropSet, generated: CropSet, folder: Path) -> list[Path]:
    """A PNG for each category (rows: mask, generated, overlay, real) and `overview.png`; gives their paths."""
    paths, rows = [], []
    for category in np.unique(real.focus).tolist():
        places = np.flatnonzero(real.focus == category)[:COLUMNS]
        columns = [_column(real, generated, place) for place in places.tolist()]
        rows.append(_overview_row(columns, earthsynth()[category].name))
        path = folder / f"{earthsynth()[category].name.replace(' ', '_')}.png"
        write_bytes(path, to_png(grid([view for row in zip(*columns, strict=True) for view in row], len(columns))))
        paths.append(path)
    overview = folder / "overview.png"
    write_bytes(overview, to_png(grid(rows, 2)))
    return [*paths, overview]


def _column(real: CropSet, generated: CropSet, place: int) -> list[Image]:
    """Mask, generated image, its overlay, real image."""
    mask, image = real.masks[place], generated.images[place]
    blank = np.zeros(mask.shape, np.uint16)
    return [paint(mask), image, overlay(image, mask, blank, earthsynth()), real.images[place]]


def _overview_row(columns: list[list[Image]], name: str) -> Image:
    chosen = [*columns, *columns][:OVERVIEW_COLUMNS]
    examples = [np.concatenate([mask, made, real], axis=1) for mask, made, _, real in chosen]
    row = grid(examples, OVERVIEW_COLUMNS)
    strip = np.full((16, row.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, name, (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, row])
