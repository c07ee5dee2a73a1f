"""Conditions from existing masks: nearest only, one geometry, splits without leaks, wants honoured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earthsynth_factory.conditions.from_dataset import DatasetSource, DatasetSpec
from earthsynth_factory.conditions.masks.view import MaskView, Variants, choose_view
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.errors import NoCondition
from tests.conditions.folders import TAXONOMY, context, shared, want, write_masks, write_prepared

FREE = {"rotate": "free"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _source(cache: Path, path: str | Path, shares: dict[str, float] | None = None, **spec: object) -> DatasetSource:
    built = DatasetSpec(path=str(path), **spec).build(context(cache, shares=shares))  # type: ignore[arg-type]
    assert isinstance(built, DatasetSource)
    return built


def _same(one: Condition, other: Condition) -> bool:
    return (
        np.array_equal(one.mask, other.mask)
        and np.array_equal(one.instances, other.instances)
        and (one.prompt == other.prompt and one.origin == other.origin and one.visible == other.visible)
    )


@pytest.mark.parametrize("angle", [0.0, 0.5, np.pi / 2, np.pi])
def test_a_view_copies_pixels_and_shows_what_it_says(angle: float) -> None:
    source = np.arange(40 * 40, dtype=np.uint16).reshape(40, 40)
    view = MaskView(20.0, 20.0, 16, 16, 1.0, angle, mirror=True)
    seen = set(view.sample(source).ravel().tolist())
    rows, columns = np.mgrid[:40, :40]
    shown = set(source[view.shows(rows, columns)].tolist())
    assert seen <= set(source.ravel().tolist()) and len(seen & shown) >= 0.85 * len(seen)
    if angle in (0.0, np.pi):
        assert seen == shown


def test_quarter_turns_are_exact() -> None:
    source = np.arange(64, dtype=np.uint16).reshape(8, 8)
    turned = [MaskView(4.0, 4.0, 8, 8, 1.0, quarter * np.pi / 2).sample(source) for quarter in range(4)]
    assert all(any(np.array_equal(one, np.rot90(source, k)) for one in turned) for k in range(4))


def test_view_stays_inside_unless_padded() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        view = choose_view(Variants(rotate="free"), (50, 60), (40, 40), 1.1, (49.5, 0.5), rng)
        assert view is not None and view.sample(np.ones((50, 60), np.uint8)).all()
    assert choose_view(Variants(), (30, 60), (40, 40), 1.0, None, rng) is None
    assert choose_view(Variants(pad=True), (30, 60), (40, 40), 1.0, None, rng) is not None


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["building", "water", "road", "grass", None]),
    height=st.integers(16, 200),
    width=st.integers(16, 200),
    metres=st.floats(0.3, 2.0),
    instances=st.none() | st.tuples(st.integers(0, 2), st.integers(2, 9)),
    context=st.none() | st.just((1, 6)),
    avoid=st.frozensets(st.sampled_from([6, 2]), max_size=1),
    seed=st.integers(0, 2**62),
)
def test_any_want_gives_what_it_asks_or_says_why(cache: Path, name: str | None, **asked: object) -> None:
    asked["height"], asked["width"], asked["metres_per_pixel"] = asked["height"], asked["width"], asked.pop("metres")
    wanted = want(name, **asked)
    source = _source(cache, "dubai", variants=FREE)
    try:
        drawn = source.draw(wanted)
    except NoCondition as error:
        assert "most often" in str(error)
        return
    assert drawn.mask.shape == (wanted.height, wanted.width)
    assert set(drawn.classes()) <= {1, 2, 4, 6, 8} and not wanted.avoid & set(drawn.classes())
    assert wanted.category is None or wanted.category.id in drawn.classes()
    if wanted.context is not None:
        assert set(drawn.classes()) <= {*wanted.context, *([wanted.category.id] if wanted.category else [])}
    assert _same(drawn, source.draw(wanted))


def test_mask_and_instances_share_one_geometry(cache: Path) -> None:
    source = _source(cache, "kit_ais", variants={"rotate": "free"})
    for seed in range(20):
        drawn = source.draw(want("small vehicle", seed=seed, metres_per_pixel=0.17, height=160, width=160))
        assert drawn.known_instances and np.array_equal(drawn.instances > 0, drawn.mask > 0)


def test_no_group_feeds_two_splits(cache: Path) -> None:
    source = _source(cache, "dubai", {"train": 0.5, "test": 0.5})
    groups = {
        split: {source.draw(want("road", seed=seed, split=split)).origin.group for seed in range(60)}
        for split in ("train", "test")
    }
    assert groups["train"] and groups["test"] and not groups["train"] & groups["test"]
    assert len(groups["train"] | groups["test"]) == 4
    assert not source.supports(TAXONOMY.named("ship"), "train") and not source.supports(None, "val")
    with pytest.raises(NoCondition, match="nothing of it in split 'train'"):
        source.draw(want("ship"))


def test_visible_share_is_counted_in_the_source(tmp_path: Path) -> None:
    mask, instances = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint16)
    mask[10:20, 14:24], instances[10:20, 14:24] = 17, 3
    folder = write_prepared(tmp_path / "d", mask, instances)
    fixed = {"crop": "centre", "rotate": "none", "mirror": False}
    source = _source(tmp_path, folder, variants=fixed, min_visible=0.2)
    drawn = source.draw(want("ship", height=10, width=10, metres_per_pixel=1.0))  # rows and columns 15 to 24
    assert drawn.visible == {3: 5 * 9 / 100} and (drawn.instances == 3).sum() == 45
    drawn = source.draw(want("ship", height=20, width=20, metres_per_pixel=2.0))
    assert drawn.visible == {} and (drawn.mask == 17).sum() == 25


def test_count_and_size_of_objects_are_honoured(cache: Path) -> None:
    source = _source(cache, "kit_ais")
    drawn = source.draw(want("small vehicle", metres_per_pixel=0.15, instances=(2, 3), seed=5))
    assert len(drawn.instance_classes()) in (2, 3)
    with pytest.raises(NoCondition, match=r"a 'small vehicle' outside 30\.\.40 m"):
        source.draw(want("small vehicle", metres_per_pixel=0.15, object_size=(30, 40)))
    with pytest.raises(NoCondition, match=r"320×320 pixels is too small for 512×512 at 1 mask pixels each; lower"):
        source.draw(want("small vehicle", metres_per_pixel=0.15, height=512, width=512))


def test_single_category_keeps_the_id_alone(cache: Path) -> None:
    drawn = _source(cache, "dubai", single_category=True).draw(want("water", seed=2))
    assert drawn.classes() == [6] and drawn.prompt == "A satellite image of water"


def test_text_gains_classes_that_the_mask_lacks(cache: Path) -> None:
    source = _source(cache, "dubai", single_category=True, extra_classes=("ship", "water", "harbor"), extra_count=2)
    drawn = source.draw(want("water", seed=2, avoid=frozenset({26})))
    assert drawn.prompt == "A satellite image of water, ship" and drawn.classes() == [6]


def test_exact_gives_the_mask_as_it_is_and_relabels(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[4:9, 3:30] = 25
    folder = write_masks(tmp_path / "m", a=mask)
    exact = _source(tmp_path, folder, exact=True)
    assert np.array_equal(exact.draw(want("storage tank", height=32, width=32)).mask, mask)
    assert np.array_equal(exact.draw(want("storage tank", height=64, width=64)).mask[::2, ::2], mask)
    assert not exact.supports(TAXONOMY.named("ship"), "train")
    ship = _source(tmp_path, folder, exact=True, relabel=True).draw(want("ship", height=32, width=32))
    assert np.array_equal(ship.mask == 17, mask == 25) and ship.prompt == "A satellite image of ship"
    assert not ship.known_instances and not ship.instances.any()


def test_demo_control_mask_is_drawn_whole(tmp_path: Path) -> None:
    source = _source(tmp_path, shared("formats", "earthsynth", "demo_control_mask.png"), exact=True)
    drawn = source.draw(want("storage tank", height=512, width=512))
    assert drawn.classes() == [25] and drawn.prompt == "A satellite image of storage tank"


def test_fingerprint_follows_content_not_place(tmp_path: Path) -> None:
    mask = np.full((4, 16), 6, np.uint8)
    here, there = (_source(tmp_path, write_masks(tmp_path / name, a=mask)).fingerprint() for name in ("x", "y"))
    assert here == there
    assert _source(tmp_path, write_masks(tmp_path / "y", a=mask - 1)).fingerprint() != there
    assert _source(tmp_path, write_masks(tmp_path / "y", a=mask.reshape(8, 8))).fingerprint() != there
    assert _source(tmp_path, tmp_path / "x", variants=FREE).fingerprint() != here
    assert str(tmp_path) not in here
