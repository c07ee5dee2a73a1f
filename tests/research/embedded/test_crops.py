"""Crops and their pack: geometry and provenance of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.errors import SourceError
from research.embedded.crops import CropPlan, CropSet, Scene, Square, boxes_of, cut, cut_scenes
from research.embedded.pack import pack, unpack

NO_BOXES = np.empty((0, 5), np.int64)


def crop_set(count: int = 12, size: int = 32, seed: int = 0) -> CropSet:
    """Half dense land cover, half sparse storage tanks; images are flat, so that pixels tell where they come from."""
    random = np.random.default_rng(seed)
    images = np.repeat(random.integers(0, 255, (count, 1, 1, 3)), size, 1).repeat(size, 2).astype(np.uint8)
    masks = np.full((count, size, size), 1, np.uint8)
    dense = np.arange(count) % 2 == 0
    masks[~dense] = 0
    masks[~dense, 8:20, 8:24] = 25
    focus = np.where(dense, 1, 25).astype(np.uint8)
    return CropSet(images, masks, np.full(count, 0.8, np.float32), focus, dense)


def test_image_and_mask_are_cut_by_the_same_square() -> None:
    mask = np.zeros((200, 300), np.uint8)
    mask[60:120, 90:150] = 25
    image = np.repeat((mask * 10)[..., None], 3, axis=2)
    pixels, labels, scale = cut(Scene(image, mask, NO_BOXES, 0.5), Square(80, 40, 128, 25), 64)
    assert pixels.shape == (64, 64, 3)
    assert scale == pytest.approx(1.0)
    np.testing.assert_array_equal(pixels[..., 0] > 125, labels == 25)


def test_masks_hold_no_class_that_the_scene_does_not() -> None:
    mask = np.random.default_rng(0).choice(np.array([1, 8, 25], np.uint8), (97, 97))
    _, labels, _ = cut(Scene(np.zeros((97, 97, 3), np.uint8), mask, NO_BOXES, 1.0), Square(3, 5, 71, 1), 64)
    assert set(np.unique(labels).tolist()) <= {1, 8, 25}


def test_pack_keeps_masks_exactly_and_images_nearly(tmp_path: Path) -> None:
    crops = crop_set()
    assert pack(crops, tmp_path / "crops") == (tmp_path / "crops").stat().st_size
    again = unpack(tmp_path / "crops")
    np.testing.assert_array_equal(again.masks, crops.masks)
    np.testing.assert_array_equal(again.dense, crops.dense)
    assert np.abs(again.images.astype(int) - crops.images).max() <= 6


def test_unpack_refuses_what_is_no_pack(tmp_path: Path) -> None:
    (tmp_path / "crops").write_bytes(b"no tensors here")
    with pytest.raises(SourceError, match="not a crop file"):
        unpack(tmp_path / "crops")


def test_boxes_are_tight_and_by_ascending_id() -> None:
    numbers = np.zeros((20, 30), np.uint16)
    numbers[2:5, 3:9], numbers[10:11, 20:22] = 7, 2
    mask = np.where(numbers == 7, 25, np.where(numbers == 2, 16, 0)).astype(np.uint8)
    assert boxes_of(mask, numbers).tolist() == [[16, 10, 20, 11, 22], [25, 2, 3, 5, 9]]


def test_crops_go_round_the_categories_and_half_of_them_show_the_guess() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[90:110, 90:110], mask[150:170, 20:40] = 25, 16
    filled = np.where(mask == 0, 6, mask).astype(np.uint8)
    boxes = np.array([[25, 90, 90, 110, 110], [16, 150, 20, 170, 40]])
    scene = Scene(np.zeros((200, 200, 3), np.uint8), mask, boxes, 0.5, False, filled)
    plan = CropPlan(40, 40, 120, things_only=True)
    crops = cut_scenes(["one"], lambda _: scene, plan, 32, (1, "tanks", "train"))
    assert np.bincount(crops.focus)[[16, 25]].tolist() == [40, 40]
    assert all((labels == focus).any() for labels, focus in zip(crops.masks, crops.focus, strict=True))
    guessed = (crops.masks == 6).any(axis=(1, 2))
    assert 20 < guessed.sum() < 60
    np.testing.assert_array_equal(crops.dense, guessed)
    again = cut_scenes(["one"], lambda _: scene, plan, 32, (1, "tanks", "train"))
    np.testing.assert_array_equal(again.masks, crops.masks)
