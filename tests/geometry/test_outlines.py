"""One line around an object, as `cv2.fillPoly` draws it again."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import disk
from skimage.measure import label

from earthsynth_factory.geometry import polygons
from earthsynth_factory.geometry.outlines import filled, outline_of
from earthsynth_factory.geometry.polygons import agreement, polygons_of


@pytest.mark.parametrize("seed", range(20))
def test_one_part_comes_back_pixel_for_pixel_holes_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 50), bool)
    mask[disk((20, 25), 17)] = True
    mask[disk(tuple(rng.integers(12, 20, 2)), 4)] = False
    mask[disk((26, 32), int(rng.integers(2, 5)))] = False
    assert np.array_equal(filled(outline_of(mask), *mask.shape), mask)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2)])
def test_the_thinnest_objects_have_three_corners_and_come_back(shape: tuple[int, int]) -> None:
    mask = np.pad(np.ones(shape, bool), 2)
    outline = outline_of(mask)
    assert len(outline) >= 3
    assert np.array_equal(filled(outline, *mask.shape), mask)


def test_parts_are_tied_together_by_a_line() -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:15, 2:10] = mask[5:15, 20:28] = True
    drawn = filled(outline_of(mask), *mask.shape)
    assert (drawn & mask).sum() == mask.sum() and label(drawn).max() == 1
    assert (drawn & ~mask).sum() == 10, "one line of pixels from part to part"


def test_an_empty_mask_has_none() -> None:
    with pytest.raises(ValueError, match="an empty mask has no outline"):
        outline_of(np.zeros((4, 4), bool))


def test_joining_in_blocks_gives_the_same_line(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.random.default_rng(4).random((40, 40)) > 0.3
    whole = polygons_of(mask)
    monkeypatch.setattr(polygons, "_PAIRS", 7)
    assert polygons_of(mask) == whole
    assert agreement(whole, mask) == 1.0
