"""Run lengths, boxes, components and polygons against what pycocotools says of the same masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.boxes import oriented_box, tight_boxes, touches_border
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.polygons import outline_iou, polygons_of
from earthsynth_factory.geometry.rle import decode, decode_patch, encode, encode_runs
from earthsynth_factory.geometry.runs import find_runs

SEEDS = st.integers(0, 2**32 - 1)


def _noise(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random(rng.integers(1, 20, 2)) < rng.random()


def _ids(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.choice([0, 0, 0, 2, 5, 65535], rng.integers(1, 16, 2)).astype(np.uint16)


@given(SEEDS)
@settings(max_examples=100)
def test_run_lengths_come_back_exactly(seed: int) -> None:
    mask = _noise(seed)
    assert np.array_equal(decode(encode(mask), *mask.shape), mask)


@given(SEEDS)
@settings(max_examples=200)
def test_the_box_of_a_mask_is_decoded_alone(seed: int) -> None:
    mask = _noise(seed)
    found = decode_patch(encode(mask), *mask.shape, mask.size)
    if found is None:
        assert not mask.any()
        return
    top, left, pixels = found
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert (top, left) == (rows[0], columns[0])
    assert np.array_equal(pixels, mask[top : rows[-1] + 1, left : columns[-1] + 1])


def test_a_box_larger_than_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="an object of 3×4 pixels is too large"):
        decode_patch(encode(np.ones((4, 3), bool)), 4, 3, most=11)


@given(SEEDS)
@settings(max_examples=100)
def test_all_instances_at_once_encode_as_pycocotools_does_each(seed: int) -> None:
    ids = _ids(seed)
    runs = find_runs(ids)
    each = [coco.encode(np.asfortranarray(ids == number, dtype=np.uint8))["counts"].decode() for number in runs.ids]
    assert encode_runs(runs) == each


@pytest.mark.parametrize("text", ["", encode(np.ones((9, 9), bool))])
def test_run_lengths_of_another_size_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="do not cover 4×4 pixels"):
        decode(text, 4, 4)


@given(SEEDS)
@settings(max_examples=100)
def test_boxes_and_areas_are_those_of_pycocotools(seed: int) -> None:
    ids = _ids(seed)
    found = find_runs(ids)
    assert found.ids.tolist() == [number for number in np.unique(ids).tolist() if number]
    for number, box, area in zip(found.ids, tight_boxes(found), found.areas(), strict=True):
        runs = coco.encode(np.asfortranarray(ids == number, dtype=np.uint8))
        assert (box.tolist(), int(area)) == (coco.toBbox(runs).tolist(), int(coco.area(runs)))


def test_boxes_at_the_border_are_found() -> None:
    boxes = np.array([[0, 2, 3, 3], [2, 2, 3, 3], [5, 5, 5, 4], [3, 6, 2, 4]])
    assert touches_border(boxes, 10, 10).tolist() == [True, False, True, True]


def test_an_oriented_box_fits_a_turned_bar() -> None:
    import cv2

    mask = np.zeros((64, 64), np.uint8)
    cv2.fillConvexPoly(mask, cv2.boxPoints(((32, 32), (40, 10), 30)).astype(np.int32), 1)
    corners = oriented_box(mask.astype(bool))
    sides = sorted(np.linalg.norm(np.diff(corners[:3], axis=0), axis=1))
    assert sides == pytest.approx([12, 42], abs=1.5), "cv2 draws the outline too"


def test_components_join_corners_and_part_classes() -> None:
    mask = np.array([[17, 0, 25, 25], [0, 17, 17, 0], [0, 0, 0, 6]], np.uint8)
    assert components(mask, [17, 25]).tolist() == [[1, 0, 2, 2], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_more_components_than_a_map_can_number_are_an_error() -> None:
    mask = np.zeros((530, 530), np.uint8)
    mask[::2, ::2] = 17
    with pytest.raises(SourceError, match="70225 separate objects, more than the 65535"):
        components(mask, [17])


def test_polygons_have_one_part_each() -> None:
    mask = np.zeros((30, 30), bool)
    mask[3:9, 4:20] = mask[15:28, 15:17] = True
    polygons = polygons_of(mask)
    assert len(polygons) == 2
    assert outline_iou(polygons, mask) == 1.0


@given(SEEDS)
@settings(max_examples=60)
def test_polygons_of_any_mask_lose_nothing_holes_included(seed: int) -> None:
    mask = _noise(seed)
    assert outline_iou(polygons_of(mask), mask) == 1.0


def test_what_polygons_lose_is_measured_as_drawn() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:18, 2:18] = True
    mask[6:14, 6:14] = False
    filled = np.zeros_like(mask)
    filled[2:18, 2:18] = True
    assert outline_iou(polygons_of(filled), mask) == pytest.approx(192 / 256)
    assert outline_iou([], mask) == 0.0
