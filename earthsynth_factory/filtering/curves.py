"""Share kept against threshold, a panel a rule, as one PNG: what a threshold costs, and whether real images pass it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.io.atomic import write_changed
from earthsynth_factory.io.png import encode_png

WIDTH, HEIGHT, MARGIN = 420, 260, 44
INK, RUN, REAL, LIMIT = (40, 40, 40), (30, 110, 200), (220, 120, 30), (170, 170, 170)

Values = npt.NDArray[np.float64]
Curve = tuple[Values, Values, float]
"""Values of the run, values of real images (may be empty), the pooled threshold."""


def draw_curves(path: Path, curves: Mapping[str, Curve]) -> None:
    """Write the panels one below the other: run in blue, real in orange, the threshold in grey. Raises DiskError."""
    panels = [_panel(name, *curve) for name, curve in curves.items() if len(curve[0]) or len(curve[1])]
    if panels:
        write_changed(path, encode_png(np.ascontiguousarray(np.concatenate(panels))))


def _panel(name: str, run: Values, real: Values, least: float) -> npt.NDArray[np.uint8]:
    panel = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    low = min(least, *(float(values.min()) for values in (run, real) if len(values)))
    high = max(least, *(float(values.max()) for values in (run, real) if len(values)))
    span = (high - low) or 1.0

    def at(value: float, share: float) -> tuple[int, int]:
        x = MARGIN + (value - low) / span * (WIDTH - 2 * MARGIN)
        return round(x), round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN))

    cv2.rectangle(panel, at(low, 0), at(low + span, 1), INK, 1)
    cv2.line(panel, at(least, 0), at(least, 1), LIMIT, 2)
    for values, color in ((run, RUN), (real, REAL)):
        if len(values):
            steps = np.linspace(low, low + span, 160)
            shares = [float(np.mean(values >= step)) for step in steps]
            points = np.array([at(step, share) for step, share in zip(steps, shares, strict=True)], np.int32)
            cv2.polylines(panel, [points], False, color, 2, cv2.LINE_AA)
    for text, place in (
        (f"{name}: share kept (run blue, real orange)", (MARGIN, 26)),
        (f"{low:.3g}", (MARGIN, HEIGHT - 16)),
        (f"{high:.3g}", (WIDTH - MARGIN - 40, HEIGHT - 16)),
    ):
        cv2.putText(panel, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
    return panel
