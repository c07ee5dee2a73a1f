"""Crops, their pack, and copy-paste: geometry and provenance of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.errors import SourceError
from earthsynth_factory.training.cf_comp.compose import paste
from research.embedded.composed import compose, foreground
from research.embedded.crops import CropSet, Scene, Square, cut
from research.embedded.pack import pack, unpack


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
    pixels, labels, scale = cut(Scene(image, mask, None, 0.5), Square(80, 40, 128, 25), 64)
    assert pixels.shape == (64, 64, 3)
    assert scale == pytest.approx(1.0)
    np.testing.assert_array_equal(pixels[..., 0] > 125, labels == 25)


def test_masks_hold_no_class_that_the_scene_does_not() -> None:
    mask = np.random.default_rng(0).choice(np.array([1, 8, 25], np.uint8), (97, 97))
    _, labels, _ = cut(Scene(np.zeros((97, 97, 3), np.uint8), mask, None, 1.0), Square(3, 5, 71, 1), 64)
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


def test_paste_takes_chosen_pixels_from_the_partner_and_the_rest_from_the_base() -> None:
    random = np.random.default_rng(1)
    base = (random.integers(0, 255, (9, 9, 3)).astype(np.uint8), np.full((9, 9), 1, np.uint8))
    partner = (random.integers(0, 255, (9, 9, 3)).astype(np.uint8), np.full((9, 9), 25, np.uint8))
    chosen = random.random((9, 9)) < 0.4
    image, mask = paste(base, partner, chosen)
    np.testing.assert_array_equal(image[chosen], partner[0][chosen])
    np.testing.assert_array_equal(image[~chosen], base[0][~chosen])
    np.testing.assert_array_equal(mask, np.where(chosen, 25, 1))


def test_compositions_put_objects_in_place_on_dense_bases() -> None:
    crops = crop_set()
    made = compose(crops, 10, seed=3)
    assert len(made) == 10
    assert made.dense.all()
    np.testing.assert_array_equal(foreground(made.masks)[0], crops.masks[1] == 25)
    bases, objects = crops.images[crops.dense][:, 0, 0], crops.images[~crops.dense][:, 0, 0]
    for image in made.images:
        assert (image[0, 0] == bases).all(axis=1).any()
        assert (image[10, 10] == objects).all(axis=1).any()


def test_compositions_follow_the_seed_alone() -> None:
    crops = crop_set()
    np.testing.assert_array_equal(compose(crops, 6, 3).images, compose(crops, 6, 3).images)
    assert (compose(crops, 6, 3).images != compose(crops, 6, 4).images).any()
