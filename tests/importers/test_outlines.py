"""Polygons and run lengths against pycocotools on the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pycocotools import mask as coco

from earthsynth_factory.geometry import rle
from earthsynth_factory.importers.outlines import Patch, fill_box, fill_polygons, read_rle, trim

SIZE = (48, 70)

corner = st.floats(-30, 100, allow_nan=False).map(lambda x: round(x, 2))
polygon = st.lists(st.tuples(corner, corner), min_size=3, max_size=9).map(lambda ps: [v for p in ps for v in p])


def whole(patch: Patch | None) -> np.ndarray:
    canvas = np.zeros(SIZE, bool)
    if patch is not None:
        top, left, pixels = patch
        canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


@example([[0.0, 2.0, 0.0, 3.0, 2.0, 2.3]])  # 5 · 2.3 + ½ is a whole number, 5 · (2.3 - 1) + ½ falls short of one
@given(st.lists(polygon, min_size=1, max_size=3))
def test_polygons_are_filled_as_pycocotools_fills_them_inside_the_image(polygons: list[list[float]]) -> None:
    inside = [[min(max(v, 0), SIZE[1 - i % 2]) for i, v in enumerate(p)] for p in polygons]
    expected = coco.decode(coco.merge(coco.frPyObjects(inside, *SIZE))).astype(bool)
    np.testing.assert_array_equal(whole(fill_polygons(inside, SIZE)), expected)


@given(polygon)
def test_polygons_beyond_the_border_never_fail(points: list[float]) -> None:
    patch = fill_polygons([points], SIZE)
    assert patch is None or patch[2].any()


@pytest.mark.parametrize("bad", [[[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [[float("nan")] * 6], [], [[1e9] * 6]])
def test_malformed_polygons_are_refused(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"polygon|corner"):
        fill_polygons(bad, SIZE)


def test_boxes_are_clipped() -> None:
    assert whole(fill_box(-5, -5, 10, 8, SIZE)).sum() == 5 * 3
    assert fill_box(200, 0, 5, 5, SIZE) is None
    with pytest.raises(ValueError, match="not negative"):
        fill_box(0, 0, -1, 5, SIZE)


@given(st.integers(0, 2**32 - 1))
def test_run_lengths_come_back(seed: int) -> None:
    mask = np.random.default_rng(seed).random(SIZE) < 0.3
    np.testing.assert_array_equal(whole(read_rle({"size": list(SIZE), "counts": rle.encode(mask)}, SIZE)), mask)
    patch = trim(mask)
    assert patch is not None
    assert rle.encode_patch(patch[2], patch[0], patch[1], *SIZE) == rle.encode(mask)


@pytest.mark.parametrize(
    "bad",
    [
        {"size": [48, 71], "counts": [0, 1]},
        {"size": [48, 70], "counts": [0, 1]},
        {"size": [48, 70], "counts": [-1, 3361]},
        {"size": [48, 70], "counts": "~~~~~~~~~"},
        {"size": [48, 70], "counts": 7},
        {"size": [48, 70]},
        "text",
    ],
)
def test_malformed_run_lengths_are_refused(bad: object) -> None:
    with pytest.raises(ValueError):  # each has its own words
        read_rle(bad, SIZE)
