"""Conditions that come with pictures: picture and mask move together, only what was pasted is new, light stays in bounds."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from earthsynth_factory.conditions.compose import ComposeSource, ComposeSpec
from earthsynth_factory.conditions.from_dataset import DatasetSource, DatasetSpec
from earthsynth_factory.conditions.masks.view import MaskView
from earthsynth_factory.conditions.pasting import GAIN, SHIFT, Light, coverage, in_light, light_of
from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.blending import blended
from earthsynth_factory.io.png import encode_png
from tests.conditions.folders import context, want, write_masks, write_prepared

CARS = {"path": "kit_ais", "backgrounds": "dubai", "pictures": True}


def _composer(cache: Path, **spec: object) -> ComposeSource:
    return ComposeSpec.model_validate({**CARS, **spec}).build(context(cache))


def _checkerboard(folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A prepared scene whose buildings are bright and whose rest is dark, in squares of 8 pixels."""
    board = (np.indices((96, 96)) // 8).sum(axis=0) % 2
    mask = np.where(board, 8, 1).astype(np.uint8)
    picture = np.repeat((board * 200 + 20).astype(np.uint8)[..., None], 3, axis=2)
    write_prepared(folder, mask, np.zeros((96, 96), np.uint16))
    (folder / "images").mkdir()
    (folder / "images/a.png").write_bytes(encode_png(picture))
    return folder, mask, picture


@pytest.mark.parametrize("rotate", ["none", "quarter", "free"])
def test_picture_and_mask_move_together(tmp_path: Path, rotate: str) -> None:
    folder, _, _ = _checkerboard(tmp_path / "board")
    spec = DatasetSpec.model_validate({"path": str(folder), "pictures": True, "variants": {"rotate": rotate}})
    source = spec.build(context(tmp_path / "cache"))
    assert isinstance(source, DatasetSource)
    for seed in range(12):
        drawn = source.draw(want("building", height=32, width=40, metres_per_pixel=1.0, seed=seed))
        assert drawn.picture is not None and drawn.changed is not None
        assert not drawn.changed.any()
        bright, buildings = drawn.picture[..., 0] > 120, drawn.mask == 8
        iou = (bright & buildings).sum() / (bright | buildings).sum()
        # A free turn samples the picture between its pixels, the mask at the nearest one: they part along edges alone.
        assert iou == 1.0 if rotate != "free" else iou > 0.9


def test_a_view_at_step_one_copies_pixels() -> None:
    source = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for turn in range(4):
        for mirror in (False, True):
            view = MaskView(20.0, 25.0, 16, 16, 1.0, turn * np.pi / 2, mirror)
            np.testing.assert_array_equal(
                view.sample_picture(source), np.stack([view.sample(source[..., c]) for c in range(3)], axis=-1)
            )


def test_a_shrinking_view_averages() -> None:
    source = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    small = MaskView(32.0, 32.0, 16, 16, 4.0).sample_picture(source)
    assert small.min() >= 126 and small.max() <= 129


def test_only_what_was_pasted_is_new_and_it_is_where_its_mask_is(tmp_path: Path) -> None:
    with_cars, empty = _composer(tmp_path, match=0.0), _composer(tmp_path, count="0..0", match=0.0)
    for seed in range(6):
        asked = want("small vehicle", height=96, width=96, metres_per_pixel=0.3, seed=seed)
        drawn, ground = with_cars.draw(asked), empty.draw(asked)
        assert drawn.picture is not None and ground.picture is not None and drawn.changed is not None
        same_ground = drawn.origin.detail["ground"], drawn.origin.detail["y"]
        if same_ground != (ground.origin.detail["ground"], ground.origin.detail["y"]):
            continue  # another ground was taken because the first had no room
        np.testing.assert_array_equal(drawn.picture[~drawn.changed], ground.picture[~drawn.changed])
        np.testing.assert_array_equal(drawn.changed, drawn.mask == 21)  # the ground itself has no vehicles
        pasted = np.unique(drawn.instances[drawn.changed])
        assert len(str(drawn.origin.detail["objects"]).split()) == len(pasted)


def test_pasted_pixels_are_those_of_the_object(tmp_path: Path) -> None:
    """An object of one colour on a ground of another: its colour is in its mask, whole away from the edge."""
    mask, instances = np.full((64, 64), 1, np.uint8), np.zeros((64, 64), np.uint16)
    mask[20:34, 20:44], instances[20:34, 20:44] = 17, 1
    picture = np.full((64, 64, 3), (60, 90, 120), np.uint8)
    picture[20:34, 20:44] = (250, 250, 250)
    bank = write_prepared(tmp_path / "ships", mask, instances)
    water = write_prepared(tmp_path / "water", np.full((160, 160), 6, np.uint8), np.zeros((160, 160), np.uint16))
    for folder, pixels in ((bank, picture), (water, np.full((160, 160, 3), (10, 30, 60), np.uint8))):
        (folder / "images").mkdir()
        (folder / "images/a.png").write_bytes(encode_png(pixels))
        about = json.loads((folder / "dataset.json").read_text())
        (folder / "dataset.json").write_text(json.dumps({**about, "dense": True}))
    source = _composer(tmp_path / "cache", path=str(bank), backgrounds=str(water), count="1..2", match=0.0)
    for seed in range(5):
        drawn = source.draw(want("ship", height=96, width=96, metres_per_pixel=1.0, seed=seed))
        assert drawn.picture is not None
        moved = (drawn.picture != (10, 30, 60)).any(axis=2)
        np.testing.assert_array_equal(moved, drawn.instances > 0)
        inner = cv2.erode((drawn.instances > 0).astype(np.uint8), np.ones((7, 7))) > 0
        assert inner.any()
        assert (drawn.picture[inner] == 250).all(), drawn.picture[inner][(drawn.picture[inner] != 250).any(axis=1)]


def test_equal_wants_give_equal_pictures(tmp_path: Path) -> None:
    asked = want("small vehicle", height=64, width=64, metres_per_pixel=0.3, seed=4)
    first, second = _composer(tmp_path / "a").draw(asked), _composer(tmp_path / "b").draw(asked)
    assert first.picture is not None and second.picture is not None
    np.testing.assert_array_equal(first.picture, second.picture)


def test_the_sun_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from earthsynth_factory.conditions import compose

    turns: list[tuple[float, bool]] = []
    real = compose.render_object

    def watched(shape: np.ndarray, scale: float, angle: float, mirror: bool, piece: object = None) -> object:
        turns.append((angle, mirror))
        return real(shape, scale, angle, mirror, piece)  # type: ignore[arg-type]

    monkeypatch.setattr(compose, "render_object", watched)
    source = _composer(tmp_path, sun="keep", turn=10)
    for seed in range(4):
        turns.clear()
        drawn = source.draw(want("small vehicle", height=64, width=64, metres_per_pixel=0.3, seed=seed))
        detail = drawn.origin.detail
        last = turns[-1]  # of the ground that was kept
        assert abs(last[0] - float(detail["angle"])) <= np.radians(10) + 1e-9
        assert last[1] == bool(detail["mirror"])


def test_what_pictures_cannot_be_had_from_is_refused(tmp_path: Path) -> None:
    masks = write_masks(tmp_path / "bare/masks", a=np.full((32, 32), 8, np.uint8)).parent
    with pytest.raises(SourceError, match=r"no picture for the mask 'a'; `pictures: true` needs a prepared folder"):
        DatasetSpec.model_validate({"path": str(masks), "pictures": True}).build(context(tmp_path / "cache"))
    with pytest.raises(SourceError, match=r"kit_ais: its masks do not say what every pixel is.*`sparse: true`"):
        _composer(tmp_path / "cache", backgrounds="kit_ais")
    assert _composer(tmp_path / "cache", backgrounds="kit_ais", sparse=True)
    with pytest.raises(ValidationError, match="plain ground has no picture"):
        ComposeSpec.model_validate({**CARS, "plain": ["water"]})
    with pytest.raises(ValidationError, match="neither with `exact`"):
        DatasetSpec.model_validate({"path": "dubai", "pictures": True, "exact": True})


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    folder, _, picture = _checkerboard(tmp_path / "board")
    (folder / "images/a.png").write_bytes(encode_png(picture[:50]))
    source = DatasetSpec.model_validate({"path": str(folder), "pictures": True}).build(context(tmp_path / "cache"))
    with pytest.raises(SourceError, match="96×50 pixels, its mask has 96×96"):
        source.draw(want("building", height=32, width=32, metres_per_pixel=1.0))


def test_light_follows_the_place_within_bounds() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    dark, bright = Light(np.array([10, 0, 0], np.float32), 1.0), Light(np.array([90, 40, -40], np.float32), 30.0)
    moved = in_light(grey, dark, bright, 1.0)
    before, after = (light_of(one, np.ones((8, 8), bool)) for one in (grey, moved))
    assert before is not None and after is not None
    assert (np.abs(after.mean - before.mean) <= SHIFT + 0.6).all() and after.mean[0] > before.mean[0] + 10
    np.testing.assert_array_equal(in_light(grey, dark, bright, 0.0), grey)
    np.testing.assert_array_equal(in_light(grey, None, bright, 1.0), grey)
    assert GAIN[0] < 1 < GAIN[1]


def test_edges_are_soft_inside_and_nothing_is_changed_outside() -> None:
    shape = np.zeros((12, 12), bool)
    shape[2:10, 2:10] = True
    share = coverage(shape)
    assert (share[~shape] == 0).all() and (share[shape] > 0).all() and share[5, 5] == 1 and share[2, 5] < 1
    below, above = np.full((12, 12, 3), 10, np.uint8), np.full((12, 12, 3), 210, np.uint8)
    mixed = blended(below, above, share)
    assert (mixed[~shape] == 10).all() and (mixed[5, 5] == 210).all() and 100 < mixed[2, 5, 0] < 210
