"""What leaks between splits: changed copies are found in every orientation, other images are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.lookalikes import tree
from earthsynth_factory.datasets.splitting import Leaks, find_leaks, groups_for, split_groups, thumbnails_of
from earthsynth_factory.io.png import encode_png
from tests.making import make_store

Image = npt.NDArray[np.uint8]


def _scene(seed: int) -> Image:
    """Soft blobs: more like a picture from above than noise is."""
    noise = np.random.default_rng(seed).normal(128, 400, (48, 48, 3)).astype(np.float32)
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 4), 0, 255).astype(np.uint8)


def _store(root: Path, images: dict[int, Image]) -> BuildReader:
    """Six images, of which numbers 2 and 5 are in val."""
    store = BuildReader(make_store(root))
    for record in store.samples():
        store.image_file(record).path.write_bytes(encode_png(images.get(record.slot, _scene(record.slot))))
    return store


def _leaks(store: BuildReader) -> Leaks:
    with thumbnails_of(store, lambda _: None) as looks:
        return find_leaks(store, looks)


def _halves(store: BuildReader, seed: int, progress: Callable[[int], None]) -> dict[str, str]:
    shares = {"train": 0.5, "val": 0.5}
    with thumbnails_of(store, lambda _: None) as looks:
        return split_groups(store, groups_for(store, shares), looks, shares, seed, progress)


CHANGED = {
    "as it is": lambda image: image,
    "darker": lambda image: (image * 0.7).astype(np.uint8),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "turned": lambda image: np.ascontiguousarray(np.rot90(image)),
    "mirrored and turned": lambda image: np.ascontiguousarray(np.rot90(image[::-1])),
    "half the size": lambda image: cv2.resize(cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA), (48, 48)),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_changed_copy_in_another_split_is_found(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    leaks = _leaks(_store(tmp_path, {5: change(_scene(1))}))
    assert leaks.alike == ((("train", "0000001"), ("val", "0000005")),)
    assert (leaks.groups, leaks.uncompared) == ({}, 0)


def test_copies_within_a_split_are_no_leak(tmp_path: Path) -> None:
    assert _leaks(_store(tmp_path, {1: _scene(0), 4: _scene(0)})).alike == ()


def test_the_nearest_is_named_whatever_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = np.clip(_scene(0) + np.random.default_rng(0).normal(0, 6, (48, 48, 3)), 0, 255).astype(np.uint8)
    store = _store(tmp_path, {1: noisy, 5: _scene(0)})
    for block in (1, 2, 1024):
        monkeypatch.setattr(tree, "LEAF", block)
        assert _leaks(store).alike == ((("train", "0000000"), ("val", "0000005")),)


def test_images_of_one_grey_are_counted_and_not_compared(tmp_path: Path) -> None:
    flat = np.full((48, 48, 3), 90, np.uint8)
    leaks = _leaks(_store(tmp_path, {0: flat, 5: flat}))
    assert (leaks.alike, leaks.uncompared) == ((), 2)


@pytest.mark.parametrize("block", [1, 2, 1024])
def test_images_that_look_the_same_go_together_whatever_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Image 3 looks like 0 and like 5, which look less like each other; so all three go one way."""
    noisy = [np.clip(_scene(0) + np.random.default_rng(seed).normal(0, 5, (48, 48, 3)), 0, 255) for seed in (1, 2)]
    one, other = (found.astype(np.uint8) for found in noisy)
    store = _store(tmp_path, {0: np.ascontiguousarray(one[::-1]), 3: _scene(0), 5: other})
    monkeypatch.setattr(tree, "LEAF", block)
    compared: list[int] = []
    for seed in range(8):
        found = _halves(store, seed, compared.append)
        assert found["group0"] == found["group3"] == found["group5"]
        assert len(found) == 6 and set(found.values()) == {"train", "val"}
    assert sum(compared) == 8 * 6


def test_groups_are_dealt_out_as_they_are_if_all_images_look_the_same(tmp_path: Path) -> None:
    store = _store(tmp_path, dict.fromkeys(range(6), _scene(0)))
    found = _halves(store, 0, lambda _: None)
    assert sorted(found.values()) == ["train"] * 3 + ["val"] * 3
