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
from earthsynth_factory.conditions.masks.view import View
from earthsynth_factory.conditions.pasting import GAIN, SHIFT, Light, coverage, in_light, light_of
from earthsynth_factory.errors import NoCondition, SourceError
from earthsynth_factory.geometry.blending import blended
from earthsynth_factory.io.png import encode_png
from tests.benchmarks.seams import seam_contrast
from tests.conditions.folders import DATA, context, want, write_masks, write_prepared

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


@pytest.mark.parametrize("crop", ["target", "anywhere", "centre"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7, 2.0])
@pytest.mark.parametrize("rotate", ["none", "quarter", "free"])
def test_picture_and_mask_move_together(tmp_path: Path, rotate: str, scale: float, crop: str) -> None:
    """A checkerboard through every variant: equal everywhere if pixels are copied, else wherever a pixel's neighbours are
    of its own square (between pixels a picture is a mixture, a mask is not)."""
    folder, _, _ = _checkerboard(tmp_path / "board")
    variants = {"rotate": rotate, "crop": crop, "mirror": True}
    spec = DatasetSpec.model_validate({"path": str(folder), "pictures": True, "variants": variants})
    source = spec.build(context(tmp_path / "cache"))
    assert isinstance(source, DatasetSource)
    for seed in range(12):
        drawn = source.draw(want("building", height=32, width=24, metres_per_pixel=scale, seed=seed))
        assert drawn.picture is not None and drawn.changed is not None
        assert not drawn.changed.any()
        bright, buildings = drawn.picture[..., 0] > 120, drawn.mask == 8
        inner = np.ones(buildings.shape, bool)
        if rotate == "free" or scale != 1.0:
            ones = buildings.astype(np.uint8)
            inner = cv2.erode(ones, np.ones((3, 3))) + cv2.erode(1 - ones, np.ones((3, 3))) > 0
        assert inner.mean() > 0.05
        iou = (bright & buildings & inner).sum() / ((bright | buildings) & inner).sum()
        assert iou == 1.0


def test_a_view_at_step_one_copies_pixels() -> None:
    source = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for turn in range(4):
        for mirror in (False, True):
            view = View(20.0, 25.0, 16, 16, 1.0, turn * np.pi / 2, mirror)
            np.testing.assert_array_equal(
                view.sample_picture(source), np.stack([view.sample(source[..., c]) for c in range(3)], axis=-1)
            )


def test_a_shrinking_view_averages() -> None:
    source = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    small = View(32.0, 32.0, 16, 16, 4.0).sample_picture(source)
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
        named = str(drawn.origin.detail["objects"]).split(" | ")
        assert len(named) == len(pasted)
        assert all((DATA / name.partition("#")[0]).is_file() and name.partition("#")[2].isdigit() for name in named)
        assert (DATA / str(drawn.origin.detail["picture"])).is_file()


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
    real = compose.render

    def watched(shape: np.ndarray, scale: float, angle: float, mirror: bool, piece: object = None) -> object:
        turns.append((angle, mirror))
        return real(shape, scale, angle, mirror, piece)  # type: ignore[arg-type]

    monkeypatch.setattr(compose, "render", watched)
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


def _two_splits(root: Path, boxes: bool = False) -> Path:
    """A dense folder of three scenes: two to train with, one to test with; in each a ship."""
    items, lines = {}, []
    for number, split in enumerate(("train", "train", "test")):
        mask, instances = np.full((64, 64), 6, np.uint8), np.zeros((64, 64), np.uint16)
        mask[20:34, 20:44], instances[20:34, 20:44] = 17, 1
        for kind, pixels in (("masks", mask), ("instances", instances), ("images", mask[..., None].repeat(3, 2))):
            write_masks(root / kind, **{f"s{number}": pixels})
        items[f"s{number}"] = {"group": f"g{number}", "split": split, "metres_per_pixel": 1.0}
        one = {"id": 1, "category": 17, "box": [20, 20, 24, 14], "area": 336, "rle": "", "visible": 1.0}
        given = {"given": {"box": [20, 20, 24, 14]}} if boxes else {}
        lines.append({"stem": f"s{number}", "instances": [{**one, "truncated": False, "flags": [], **given}]})
    about = {"format": "earthsynth-factory/dataset", "version": 1, "name": "seas", "dense": True, "items": items}
    (root / "dataset.json").write_text(json.dumps({**about, "classes": {"6": "water", "17": "ship"}}))
    (root / "instances.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def test_pictures_of_different_splits_never_meet(tmp_path: Path) -> None:
    """What is marked for tests serves no training image, neither as ground nor with its objects."""
    folder = _two_splits(tmp_path / "seas")
    shares = {"train": 0.5, "test": 0.5}
    compose = ComposeSpec.model_validate({"path": str(folder), "pictures": True, "count": "1..2"})
    dataset = DatasetSpec.model_validate({"path": str(folder), "pictures": True})
    for spec in (compose, dataset):
        source = spec.build(context(tmp_path / "cache", shares=shares))
        for split, scenes in (("train", {"s0", "s1"}), ("test", {"s2"})):
            seen = set()
            for seed in range(16):
                asked = want("ship", height=48, width=48, metres_per_pixel=1.0, seed=seed, split=split)
                detail = source.draw(asked).origin.detail
                names = [str(detail["picture"]), *str(detail.get("objects", "")).split(" | ")]
                seen |= {Path(name.partition("#")[0]).stem for name in names if name}
            assert seen == scenes


def test_boxes_are_cut_out_by_a_segmenter_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _two_splits(tmp_path / "seas", boxes=True)
    block = {"path": str(folder), "pictures": True, "count": "1..1", "match": 0.0}
    with pytest.raises(SourceError, match=r"3 of its objects are known by their boxes alone.*name the `segmenter`"):
        ComposeSpec.model_validate(block).build(context(tmp_path / "cache"))

    class Seen:
        """Sees the left half of whatever is no water, wherever its window lies."""

        categories = (0, 6, 17)

        def predict(self, images: np.ndarray) -> np.ndarray:
            ship = images[0, ..., 0] == 17
            columns = np.flatnonzero(ship.any(axis=0))
            ship[:, columns[len(columns) // 2] :] = False
            return np.where(ship, 17, 6).astype(np.uint8)[None]

    source = ComposeSpec.model_validate({**block, "segmenter": "embedded"}).build(context(tmp_path / "cache"))
    monkeypatch.setattr(source._cutter, "_segmenter", Seen())
    for seed in range(6):
        drawn = source.draw(want("ship", height=64, width=64, metres_per_pixel=1.0, seed=seed))
        assert drawn.picture is not None and drawn.changed is not None and drawn.ground is not None
        if not drawn.changed.any():
            continue  # the ground has its ship already
        added = np.unique(drawn.instances[drawn.changed])[-1]
        assert 100 <= (drawn.instances == added).sum() <= 190  # a half of its box of 336
        differs = (drawn.picture != drawn.ground).any(axis=2)
        assert differs.any() and not (differs & ~(drawn.instances == added)).any()


def test_a_segmenter_that_knows_not_the_class_leaves_its_objects_out(tmp_path: Path) -> None:
    folder = _two_splits(tmp_path / "seas", boxes=True)
    block = {"path": str(folder), "pictures": True, "count": "2..2", "segmenter": "embedded"}
    source = ComposeSpec.model_validate(block).build(context(tmp_path / "cache"))
    with pytest.raises(NoCondition, match="no segmenter sees"):  # seventeen grey levels look like no ship
        source.draw(want("ship", height=64, width=64, metres_per_pixel=1.0, seed=1))


def test_seams_are_softer_than_as_cut(tmp_path: Path) -> None:
    """The step in lightness across the outlines of what was pasted, against the same objects at the same places."""
    from unittest.mock import patch

    from earthsynth_factory.conditions import scene

    asked = [want("small vehicle", height=96, width=96, metres_per_pixel=0.25, seed=seed) for seed in range(10)]

    def contrast(match: float) -> float:
        source = _composer(tmp_path, match=match)
        steps = []
        for one in asked:
            drawn = source.draw(one)
            assert drawn.picture is not None and drawn.changed is not None
            ids = np.unique(drawn.instances[drawn.changed])
            steps.append(seam_contrast(drawn.picture, drawn.instances, ids.tolist()))
        return float(np.mean(steps))

    with patch.object(scene, "coverage", lambda shape: shape.astype(np.float32)):
        as_cut = contrast(0.0)
    assert contrast(0.5) < 0.75 * as_cut
