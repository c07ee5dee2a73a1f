"""Run lengths, boxes, components and polygons against what pycocotools says of the same masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.boxes import boxes_and_areas
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.polygons import polygon_iou, to_polygons
from earthsynth_factory.geometry.rle import decode, encode, encode_all

SEEDS = st.integers(0, 2**32 - 1)


def _noise(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random(rng.integers(1, 20, 2)) < rng.random()


@given(SEEDS)
@settings(max_examples=100, deadline=None)
def test_run_lengths_come_back_exactly(seed: int) -> None:
    mask = _noise(seed)
    assert np.array_equal(decode(encode(mask), *mask.shape), mask)


def test_many_masks_encode_as_each_alone() -> None:
    masks = np.random.default_rng(1).random((5, 9, 13)) < 0.4
    assert encode_all(masks) == [encode(mask) for mask in masks]


def test_run_lengths_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="Invalid RLE"):
        decode(encode(np.ones((9, 9), bool)), 4, 4)


@given(SEEDS)
@settings(max_examples=100, deadline=None)
def test_boxes_and_areas_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.choice([0, 0, 0, 2, 5, 65535], rng.integers(1, 16, 2)).astype(np.uint16)
    found, boxes, areas = boxes_and_areas(ids)
    assert found.tolist() == [number for number in np.unique(ids).tolist() if number]
    for number, box, area in zip(found, boxes, areas, strict=True):
        runs = coco.encode(np.asfortranarray(ids == number, dtype=np.uint8))
        assert (box.tolist(), int(area)) == (coco.toBbox(runs).tolist(), int(coco.area(runs)))


def test_components_join_corners_and_part_classes() -> None:
    mask = np.array([[17, 0, 25, 25], [0, 17, 17, 0], [0, 0, 0, 6]], np.uint8)
    assert components(mask, [17, 25]).tolist() == [[1, 0, 2, 2], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_more_components_than_a_map_can_number_are_an_error() -> None:
    mask = np.zeros((530, 530), np.uint8)
    mask[::2, ::2] = 17
    with pytest.raises(SourceError, match="70225 separate objects, more than 65535"):
        components(mask, [17])


def test_polygons_of_parts_without_holes_lose_nothing() -> None:
    mask = np.zeros((30, 30), bool)
    mask[3:9, 4:20] = mask[15:28, 15:17] = True
    polygons = to_polygons(mask)
    assert len(polygons) == 2
    assert polygon_iou(mask, polygons) == 1.0


def test_what_polygons_lose_is_measured_as_drawn() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:18, 2:18] = True
    mask[6:14, 6:14] = False
    filled = np.zeros_like(mask)
    filled[2:18, 2:18] = True
    assert polygon_iou(mask, to_polygons(filled)) == pytest.approx(192 / 256)
    assert polygon_iou(mask, []) == 0.0
