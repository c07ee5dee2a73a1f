"""Composed scenes: where things lie, what is seen of them, and that ids, sizes and splits hold."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earthsynth_factory.conditions import placement
from earthsynth_factory.conditions.compose import ComposeSource, ComposeSpec
from earthsynth_factory.conditions.ground import LyingTable
from earthsynth_factory.conditions.masks import bank as mask_bank
from earthsynth_factory.conditions.masks.bank import MaskBank
from earthsynth_factory.conditions.masks.crop import MaskCrop
from earthsynth_factory.conditions.masks.folder import FolderSpec, MaskFolder
from earthsynth_factory.conditions.masks.objects import length, objects_of
from earthsynth_factory.conditions.masks.view import MaskView
from earthsynth_factory.conditions.placement import ObjectStamp, find_place, render_object
from earthsynth_factory.conditions.scene import ComposedScene
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.errors import InputError, NoCondition
from earthsynth_factory.geometry.components import components
from tests.conditions.folders import TAXONOMY, context, want, write_prepared

CARS = {"path": "kit_ais", "backgrounds": "dubai"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _source(cache: Path, shares: dict[str, float] | None = None, **spec: object) -> ComposeSource:
    built = ComposeSpec.model_validate(spec).build(context(cache, shares=shares))
    assert isinstance(built, ComposeSource)
    return built


def _ring() -> np.ndarray:
    """A ring and a dot beside it, one object: a hole and two parts."""
    shape = np.zeros((30, 40), bool)
    shape[5:25, 5:25], shape[10:20, 10:20], shape[12:18, 30:36] = True, False, True
    return shape


def _ships(folder: Path) -> Path:
    mask, instances = np.zeros((60, 60), np.uint8), np.zeros((60, 60), np.uint16)
    mask[10:40, 10:50][_ring()], instances[10:40, 10:50][_ring()] = 17, 1
    return write_prepared(folder, mask, instances)


def _stamp(height: int, width: int) -> ObjectStamp:
    return ObjectStamp(np.ones((height, width), bool), (height // 2, width // 2), min(height, width) / 2)


def _plain(height: int, width: int, ground: int = 6) -> MaskCrop:
    return MaskCrop(np.full((height, width), ground, np.uint8), np.zeros((height, width), np.uint16), {})


def test_objects_and_components() -> None:
    mask = np.array([[8, 0, 8], [0, 8, 0], [17, 17, 0]], np.uint8)
    found = components(mask, [8, 17])
    assert found.max() == 2 and {one.category: one.area for one in objects_of(mask, found)} == {8: 3, 17: 2}
    assert length(np.ones((3, 8), bool)) == pytest.approx(8.0)


def test_hidden_parts_are_counted_and_bounded() -> None:
    scene = ComposedScene(_plain(20, 20))
    assert scene.put(_stamp(10, 10), 17, 0, 0, 0.5)
    assert scene.put(_stamp(10, 10), 17, 0, 7, 0.5)  # hides 30 of 100 pixels
    assert not scene.put(_stamp(10, 10), 17, 5, 0, 0.5)  # would leave 35
    assert scene.put(_stamp(10, 10), 16, 14, 14, 0.3)  # 36 of 100 inside the image
    assert scene.visible() == {1: 0.7, 3: 0.36}
    assert scene.count(17) == 2 and scene.mask[15, 15] == 16


def test_ground_objects_keep_ids_and_their_cut_share() -> None:
    crop = _plain(10, 10)
    crop.mask[0:2, 0:5], crop.instances[0:2, 0:5] = 8, 900
    scene = ComposedScene(MaskCrop(crop.mask, crop.instances, {900: 0.5}))
    scene.put(_stamp(2, 1), 17, 0, 0, 0.1)
    assert scene.visible() == {1: 8 / 20} and scene.instances.max() == 2


def test_gap_keeps_objects_apart() -> None:
    scene, touching = ComposedScene(_plain(30, 30), gap=3), ComposedScene(_plain(30, 30))
    for one in (scene, touching):
        assert one.put(_stamp(4, 4), 17, 10, 10, 0.5)
    free = scene.free([6])
    assert not free[6:18, 10:14].any() and free[10:14, 18:].all() and touching.free([6]).all()


def test_the_gap_is_kept_around_what_was_there_and_what_was_put() -> None:
    """What is barred grows with every object as if it were found anew of all of them; a copy keeps its own."""
    rng = np.random.default_rng(0)
    ground = _plain(60, 50)
    ground.mask[20:30, 20:40], ground.instances[20:30, 20:40] = 17, 3
    scene = ComposedScene(ground, gap=2)
    before, twin = scene.free([6, 17]), scene.copy()
    for top, left in rng.integers(-3, 48, (12, 2)).tolist():
        scene.put(_stamp(6, 5), 17, top, left, 0.1)
    assert scene.count(17) > 5
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    np.testing.assert_array_equal(scene.free([6, 17]), cv2.dilate((scene.instances > 0).view(np.uint8), disc) == 0)
    np.testing.assert_array_equal(twin.free([6, 17]), before)


def test_stamp_keeps_hole_parts_and_size() -> None:
    same = render_object(_ring(), 1.0, 0.0, False)
    assert same is not None and np.array_equal(same.shape, _ring()[5:25, 5:36])
    for angle in (0.3, 1.1, 2.0):
        turned = render_object(_ring(), 2.0, angle, True)
        assert turned is not None and abs(turned.area - 4 * _ring().sum()) < 0.06 * 4 * _ring().sum()
        assert components(turned.shape.astype(np.uint8), [1]).max() == 2
        assert components((~np.pad(turned.shape, 1)).astype(np.uint8), [1]).max() == 2


def test_place_is_found_where_it_is_and_only_there() -> None:
    free = np.zeros((60, 60), bool)
    free[20:30, 20:30] = True
    rng = np.random.default_rng(0)
    stamp = render_object(np.ones((10, 10), bool), 1.0, 0.0, False)
    assert stamp is not None
    places = {find_place(free, stamp, 1.0, rng) for _ in range(30)} - {None}
    assert places == {(20, 20)}
    free[20, 20] = False
    assert find_place(free, stamp, 1.0, rng) is None


def test_room_is_where_the_distance_to_what_is_taken_says() -> None:
    """For every radius that a silhouette can have, and for larger ones."""
    rng = np.random.default_rng(0)
    free = cv2.resize(rng.integers(0, 2, (9, 11), np.uint8), (110, 90), interpolation=cv2.INTER_NEAREST).view(bool)
    distance = cv2.distanceTransform(free.view(np.uint8), cv2.DIST_L2, 3)
    for radius in (*(np.unique(distance) - 1).tolist(), 99.0):
        np.testing.assert_array_equal(placement._roomy(free, radius), distance >= radius)


def test_grounds_table_and_overrides() -> None:
    grounds = LyingTable(TAXONOMY, {"plane": ("water",)})
    names = {name: {TAXONOMY[i].name for i in grounds.of(TAXONOMY.named(name).id)} for name in ("ship", "plane", "van")}
    assert names["ship"] == names["plane"] == {"water"} and {"road", "pavement"} <= names["van"]
    assert "water" not in {TAXONOMY[i].name for i in grounds.of(TAXONOMY.named("expressway service area").id)}
    with pytest.raises(InputError, match="unknown category 'watr'; did you mean 'water'"):
        LyingTable(TAXONOMY, {"plane": ("watr",)})


def test_ships_survive_with_hole_and_parts_on_water(tmp_path: Path) -> None:
    source = _source(tmp_path, path=str(_ships(tmp_path / "d")))
    drawn = source.draw(want("ship", metres_per_pixel=0.5, height=256, width=256, instances=(3, 3)))
    assert list(drawn.instance_classes().values()) == [17, 17, 17] and drawn.classes() == [6, 17]
    whole = [number for number in (1, 2, 3) if number not in drawn.visible]
    for number in whole:
        one = drawn.instances == number
        assert components(one.astype(np.uint8), [1]).max() == 2
        assert abs(one.sum() - 4 * _ring().sum()) < 0.06 * 4 * _ring().sum()
    assert drawn.origin.group == "scene" and drawn.prompt == "A satellite image of water, ship"


@pytest.mark.parametrize("touching", [False, True])
def test_cars_lie_where_they_may(cache: Path, touching: bool) -> None:
    source = _source(cache, **CARS, touching=touching, on={"small vehicle": ["road"]})
    backgrounds = MaskFolder(FolderSpec(path="dubai"), context(cache))
    for seed in range(8):
        drawn = source.draw(want("small vehicle", metres_per_pixel=0.4, seed=seed, instances=(3, 12)))
        ground = _ground_of(drawn, backgrounds)
        cars = drawn.mask == 21
        assert (ground[cars] == 4).all() and np.array_equal(ground[~cars], drawn.mask[~cars])
        assert 3 <= len(np.unique(drawn.instances[cars])) <= 12


def _ground_of(drawn: Condition, backgrounds: MaskFolder) -> np.ndarray:
    """The ground of a scene before anything was put on it, taken again from what its origin tells."""
    detail = drawn.origin.detail
    item = next(item for item in backgrounds.items if item.entry.stem == detail["ground"])
    y, x, step, angle = (float(detail[name]) for name in ("y", "x", "step", "angle"))
    return MaskView(y, x, *drawn.mask.shape, step, angle, bool(detail["mirror"])).sample(backgrounds.read(item).mask)


def test_objects_without_touching_are_apart(cache: Path) -> None:
    drawn = _source(cache, path="kit_ais", count=(10, 20)).draw(want("small vehicle", metres_per_pixel=0.3, seed=3))
    assert components((drawn.instances > 0).astype(np.uint8), [1]).max() == len(drawn.instance_classes()) >= 10


def test_no_group_feeds_two_splits(cache: Path) -> None:
    source = _source(cache, {"train": 0.5, "test": 0.5}, **CARS)
    groups: dict[str, set[str]] = {"train": set(), "test": set()}
    for split, found in groups.items():
        for seed in range(40):
            origin = source.draw(want("small vehicle", metres_per_pixel=0.5, seed=seed, split=split)).origin
            found |= {origin.group, *str(origin.detail["bank"]).split(", ")}
    assert not groups["train"] & groups["test"]
    assert {"Tile 1", "Tile 3", "Tile 5", "Tile 7", "autobahn", "crossroad", "munich-street"} == set().union(
        *groups.values()
    )


def test_companions_come_along(cache: Path) -> None:
    source = _source(cache, path="kit_ais", plain=["road"], **{"with": {"large vehicle": {"small vehicle": "2..3"}}})
    drawn = source.draw(want("large vehicle", metres_per_pixel=0.3, instances=(1, 1), seed=1))
    kinds = list(drawn.instance_classes().values())
    assert kinds.count(12) == 1 and kinds.count(21) in (2, 3)
    alone = source.draw(want("large vehicle", metres_per_pixel=0.3, instances=(1, 1), seed=1, avoid=frozenset({21})))
    assert list(alone.instance_classes().values()) == [12]


def test_wanted_size_overrides_the_true_one(cache: Path) -> None:
    drawn = _source(cache, path="kit_ais", min_visible=1.0).draw(
        want("small vehicle", metres_per_pixel=0.2, object_size=(8, 8), instances=(2, 2))
    )
    lengths = [length(drawn.instances == number) * 0.2 for number in drawn.instance_classes()]
    assert lengths == [pytest.approx(8, abs=0.5)] * 2


def test_what_cannot_be_says_why(cache: Path) -> None:
    source = _source(cache, path="kit_ais", plain=["road"])
    assert not source.supports(TAXONOMY.named("ship"), "train")
    for asked, said in [
        (want("ship"), "nothing to compose ship from in split 'train'"),
        (
            want("small vehicle", metres_per_pixel=0.3, instances=(500, 500)),
            r"only \d+ of 500 'small vehicle': no room",
        ),
        (
            want("small vehicle", metres_per_pixel=5.0),
            "'small vehicle' is under 12 pixels at 5 m per pixel; lower that",
        ),
        (want("small vehicle", object_size=(9e4, 9e4)), "'small vehicle' is larger than the image; lower its size"),
        (want("small vehicle", avoid=frozenset({4})), "no plain ground is left by `on`, `context`"),
    ]:
        with pytest.raises(NoCondition, match=said):
            source.draw(asked)


def test_negatives_hold_nothing_to_avoid(cache: Path) -> None:
    source = _source(cache, **CARS)
    for seed in range(10):
        drawn = source.draw(want(None, height=64, width=64, avoid=frozenset({8, 21}), seed=seed))
        assert not {8, 21} & set(drawn.classes())


def test_bank_is_kept_packed_and_rebuilt_when_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = MaskFolder(FolderSpec(path="kit_ais"), context(tmp_path))
    built: list[int] = []
    build = mask_bank._build
    monkeypatch.setattr(mask_bank, "_build", lambda *given: (built.append(1), build(*given))[1])
    first = MaskBank(folder, TAXONOMY, tmp_path)
    again = MaskBank(folder, TAXONOMY, tmp_path)
    assert (
        len(built) == 1 and first.find(21, "train") == again.find(21, "train") and first.left_out["cut by the border"]
    )
    for number in first.find(21, "train"):
        assert np.array_equal(first[number].shape, again[number].shape) and first[number].metres_per_pixel == 0.15
    next(tmp_path.glob("bank-*.npz")).write_bytes(b"PK\x03\x04 torn")
    MaskBank(folder, TAXONOMY, tmp_path)
    assert len(built) == 2


def test_bank_stays_within_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = MaskFolder(FolderSpec(path="kit_ais"), context(tmp_path))
    monkeypatch.setattr(mask_bank, "BYTES_PER_CATEGORY", 1200)
    assert 1 <= len(MaskBank(folder, TAXONOMY, tmp_path).find(21, "train")) <= 1200 // 128


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(48, 160),
    width=st.integers(48, 160),
    metres=st.floats(0.2, 0.8),
    low=st.integers(1, 3),
    seed=st.integers(0, 2**62),
    touching=st.booleans(),
)
def test_any_want_gives_what_it_asks_or_says_why(
    cache: Path, height: int, width: int, metres: float, low: int, seed: int, touching: bool
) -> None:
    source = _source(cache, **CARS, touching=touching)
    asked = want(
        "small vehicle", height=height, width=width, metres_per_pixel=metres, instances=(low, low + 3), seed=seed
    )
    try:
        drawn = source.draw(asked)
    except NoCondition as error:
        assert "most often" in str(error)
        return
    assert low <= list(drawn.instance_classes().values()).count(21) <= low + 3
    assert all(0 < share < 1 for share in drawn.visible.values()) and drawn.known_instances
    same = source.draw(asked)
    assert np.array_equal(same.instances, drawn.instances) and np.array_equal(same.mask, drawn.mask)
