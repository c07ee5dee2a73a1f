"""The procedural source: every category, counts, scale, what may be shown, texts of refusals."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earthsynth_factory.conditions.base import ConditionSource, SourceContext, Want
from earthsynth_factory.conditions.procedural import ProceduralSpec, terrain
from earthsynth_factory.conditions.procedural.canvas import MIN_PIXELS
from earthsynth_factory.conditions.procedural.scenes import SCENES, STANDS_ON
from earthsynth_factory.conditions.procedural.sizes import SIZES
from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.taxonomy import Category, Taxonomy, earthsynth, make_category
from earthsynth_factory.errors import InputError, NoCondition

TAXONOMY = earthsynth()
THINGS = [category.name for category in TAXONOMY if category.thing]
LAND = [category.name for category in TAXONOMY if not category.thing and category.id]


def source(taxonomy: Taxonomy = TAXONOMY, **knobs: object) -> ConditionSource:
    spec = ProceduralSpec(kind="procedural", **knobs)
    return spec.build(SourceContext(taxonomy, PromptWriter(taxonomy), {"train": 1.0}, 0, Path(), Path()))


def want(category: str | Category | None, pixels: int = 256, scale: float = 0.5, seed: int = 1, **more: object) -> Want:
    if isinstance(category, str):
        category = TAXONOMY.named(category)
    fields: dict[str, object] = {"instances": None, "object_size": None, "context": None, "avoid": frozenset(), **more}
    return Want(category, pixels, pixels, scale, split="train", seed=seed, **fields)


def ids(*names: str) -> set[int]:
    return {TAXONOMY.named(name).id for name in names}


def of_class(condition: Condition, name: str) -> list[int]:
    wanted = TAXONOMY.named(name).id
    return [number for number, class_id in condition.instance_classes().items() if class_id == wanted]


def roomy(name: str) -> float:
    """Metres per pixel at which three of the smallest fit into 256 pixels and are still recognised."""
    size = SIZES[name]
    return max(size.length[0] * max(1.0, size.ratio[1]) * 4 / 256, 0.1)


def test_every_category_but_background_has_a_scene() -> None:
    assert set(THINGS) | set(LAND) == set(SCENES)
    assert set(STANDS_ON) <= set(THINGS)
    assert all(source().supports(category, "train") == (category.id != 0) for category in TAXONOMY)
    assert source().supports(None, "test")


@pytest.mark.parametrize("name", THINGS)
def test_a_thing_is_there_in_the_number_asked_for(name: str) -> None:
    for seed in range(3):
        condition = source().draw(want(name, scale=roomy(name), seed=seed, instances=(2, 3)))
        found = of_class(condition, name)
        assert 2 <= len(found) <= 3
        shown = np.bincount(condition.instances.ravel())[found]
        assert shown.min() >= MIN_PIXELS
        assert all(condition.visible.get(number, 1.0) >= 0.5 for number in found)
        assert name in condition.prompt


@pytest.mark.parametrize("name", LAND)
@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_a_land_cover_is_there_as_a_patch(name: str, scale: float) -> None:
    least = 0.02 if name in ("road", "pavement", "airport") else 0.1
    for seed in range(2):
        mask = source().draw(want(name, scale=scale, seed=seed)).mask
        assert (mask == TAXONOMY.named(name).id).mean() > least


def test_the_same_want_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (source().draw(want("ship", seed=seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.mask, again.mask) and np.array_equal(first.instances, again.instances)
    assert (first.prompt, first.origin, dict(first.visible)) == (again.prompt, again.origin, dict(again.visible))
    assert not np.array_equal(first.mask, other.mask)
    assert first.origin.group != other.origin.group
    assert (first.origin.source, first.origin.group) == ("procedural", "procedural-3")


def measured(condition: Condition, name: str) -> tuple[float, float]:
    """Length and width along its own axes of the first whole instance, metres."""
    for number in of_class(condition, name):
        rows, columns = np.nonzero(condition.instances == number)
        inside = min(rows.min(), columns.min()) > 0 and max(rows.max(), columns.max()) < len(condition.mask) - 1
        if inside and number not in condition.visible:
            spots = np.stack([columns, rows], axis=1) - (columns.mean(), rows.mean())
            along = spots @ np.linalg.eigh(spots.T @ spots)[1]
            wide, long = ((np.ptp(along, axis=0) + 1) * condition.metres_per_pixel).tolist()
            return max(long, wide), min(long, wide)
    pytest.fail(f"no whole {name}")


@pytest.mark.parametrize(
    ("name", "scale", "long", "wide"),
    [
        ("tennis court", 0.2, 23.77, 10.97),
        ("basketball court", 0.2, 28.0, 15.0),
        ("ground track field", 1.5, 176.9, 92.5),
        ("A321", 0.4, 44.5, 35.8),
        ("C919", 0.4, 38.9, 35.8),
    ],
)
def test_standard_things_have_their_true_size(name: str, scale: float, long: float, wide: float) -> None:
    picture = want(name, scale=scale, instances=(1, 1), context=(), seed=5)
    found = measured(source().draw(picture), name)
    assert found == pytest.approx((long, wide), rel=0.04, abs=1.2 * scale)


def test_a_tank_is_a_disc_of_the_size_asked_for() -> None:
    condition = source().draw(want("storage tank", scale=0.25, instances=(1, 1), object_size=(30, 30), context=()))
    (number,) = of_class(condition, "storage tank")
    area = (condition.instances == number).sum() * 0.25**2
    assert area == pytest.approx(np.pi * 15**2, rel=0.03)


def test_object_size_and_size_scale_are_kept() -> None:
    ship = measured(source().draw(want("ship", instances=(1, 1), object_size=(40, 50), context=())), "ship")
    assert 39 <= ship[0] <= 51
    court = source(size_scale=0.5).draw(want("tennis court", scale=0.2, instances=(1, 1), context=()))
    assert measured(court, "tennis court")[0] == pytest.approx(11.9, abs=0.5)


@pytest.mark.parametrize("name", ["plane", "small vehicle", "building", "bridge", "grass"])
def test_only_the_context_surrounds_the_target(name: str) -> None:
    allowed = ids(name, "road", "tree")
    for seed in range(5):
        condition = source().draw(want(name, seed=seed, context=tuple(sorted(ids("road", "tree")))))
        assert set(condition.classes()) <= allowed


def test_what_is_to_be_avoided_is_never_drawn() -> None:
    avoid = frozenset(ids("small vehicle", "water", "building", "tree"))
    for name in ("road", "ship", "bridge", "plane", None):
        for seed in range(5):
            assert not avoid & set(source().draw(want(name, seed=seed, avoid=avoid)).classes())


def test_a_negative_shows_land() -> None:
    avoid = frozenset(ids("plane", "ship"))
    condition = source().draw(want(None, avoid=avoid))
    assert condition.classes() and not avoid & set(condition.classes())


def test_sparse_shows_the_target_and_what_it_stands_on_and_none_the_target_alone() -> None:
    for name, ground in (("plane", ("pavement", "airport")), ("ship", ("water",)), ("storage tank", ())):
        sparse = source(background="sparse").draw(want(name, pixels=128, scale=0.8))
        assert ids(name) < set(sparse.classes()) | {0} <= ids(name, *ground) | {0}
        assert set(source(background="none").draw(want(name, pixels=128, scale=0.8)).classes()) == ids(name)


def test_shares_tell_what_the_border_hides() -> None:
    seen = []
    for seed in range(12):
        condition = source().draw(want("storage tank", 128, 0.5, seed, object_size=(30, 30), context=()))
        pixels = np.bincount(condition.instances.ravel())
        whole = np.pi * 15**2 / 0.5**2
        for number in of_class(condition, "storage tank"):
            share = condition.visible.get(number, 1.0)
            assert pixels[number] / whole == pytest.approx(share, abs=0.04)
            seen.append(share)
    assert min(seen) < 0.9 and max(seen) == 1.0


def test_a_courtyard_is_a_hole() -> None:
    holes = 0
    for seed in range(6):
        condition = source().draw(want("building", 512, 0.5, seed))
        for number in of_class(condition, "building"):
            inside = (condition.instances == number).astype(np.uint8)
            _, levels = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            holes += any(level[3] >= 0 for level in levels[0])
    assert holes > 0


def test_a_thing_too_small_for_the_scale_is_refused_by_its_size() -> None:
    with pytest.raises(NoCondition, match=r"^a small vehicle is 4\.5 m, 1\.1 px at 4 m per pixel; use fewer metres"):
        source().draw(want("small vehicle", scale=4.0))


def test_a_thing_too_large_for_the_picture_is_refused_by_its_size() -> None:
    with pytest.raises(NoCondition, match=r"^a ground track field is 177 m or longer, and of 38\.4 m × 38\.4 m more"):
        source().draw(want("ground track field", 128, 0.3))


def test_too_many_are_refused_with_the_number_that_fits() -> None:
    words = r"^only \d+ of 40 × 'tennis court' \(23\.8 m\) found room on 51\.2 m × 51\.2 m"
    with pytest.raises(NoCondition, match=words):
        source().draw(want("tennis court", 128, 0.4, instances=(40, 40)))


@pytest.mark.parametrize("shape", ["rectangle", "disc", "ellipse", "cross", "l", "ring", "plane", "ship", "blob"])
def test_a_category_of_the_users_own_takes_the_shape_chosen(shape: str) -> None:
    own = make_category(100, "solar tower")
    drawn = source(TAXONOMY.extended([own]), shapes={"Solar Towers": shape})
    condition = drawn.draw(want(own, instances=(3, 3), object_size=(20, 20)))
    assert list(condition.instance_classes().values()).count(100) == 3
    assert "solar tower" in condition.prompt


def test_a_category_without_a_shape_is_refused_and_a_land_cover_is_not() -> None:
    thing, land = make_category(100, "solar tower"), make_category(101, "salt pan", thing=False)
    drawn = source(TAXONOMY.extended([thing, land]))
    assert not drawn.supports(thing, "train")
    with pytest.raises(NoCondition, match="no layout shows 'solar tower'; give it a shape under `shapes`"):
        drawn.draw(want(thing))
    assert (drawn.draw(want(land)).mask == 101).mean() > 0.1
    with pytest.raises(InputError, match="unknown category 'solar tower'"):
        source(shapes={"solar tower": "disc"})


def test_the_fingerprint_follows_the_knobs_but_not_the_weight() -> None:
    plain = source().fingerprint()
    assert "layout_version" in plain
    assert source(weight=3.0).fingerprint() == plain != source(density=0.5).fingerprint()


@settings(max_examples=60)
@given(
    category=st.one_of(st.none(), st.sampled_from(list(TAXONOMY))),
    size=st.tuples(st.integers(16, 160), st.integers(16, 160)),
    scale=st.floats(0.05, 10),
    counts=st.one_of(st.none(), st.tuples(st.integers(0, 6), st.integers(6, 9))),
    object_size=st.one_of(st.none(), st.tuples(st.floats(1, 30), st.floats(30, 300))),
    context=st.one_of(st.none(), st.lists(st.integers(1, 68), max_size=4).map(tuple)),
    avoid=st.frozensets(st.integers(1, 68), max_size=5),
    seed=st.integers(0, 2**63 - 1),
    background=st.sampled_from(["dense", "sparse", "none"]),
    spread=st.floats(0, 180),
)
def test_any_want_gives_a_true_condition_or_a_reason(
    category: Category | None,
    size: tuple[int, int],
    scale: float,
    counts: tuple[int, int] | None,
    object_size: tuple[float, float] | None,
    context: tuple[int, ...] | None,
    avoid: frozenset[int],
    seed: int,
    background: str,
    spread: float,
) -> None:
    avoid -= {category.id} if category else set()
    asked = Want(category, *size, scale, counts, object_size, context, avoid, "train", seed)
    try:
        condition = source(background=background, orientation_spread=spread).draw(asked)
    except NoCondition as reason:
        assert str(reason)
        return
    present = set(condition.classes())
    assert not present & avoid
    assert condition.mask.shape == size
    if category is not None:
        assert category.id in present
    if context is not None:
        assert present <= {*context, category.id if category else 0}
    if category is not None and category.thing and counts is not None:
        found = list(condition.instance_classes().values()).count(category.id)
        assert max(counts[0], 1) <= found <= counts[1]
    assert all(0.5 <= share < 1 for share in condition.visible.values())
    assert set(condition.visible) <= set(condition.instance_classes())


def test_patches_are_cut_at_numpys_quantile() -> None:
    chance = np.random.default_rng(0)
    for _ in range(300):
        values = chance.standard_normal(tuple(chance.integers(1, 9, 2))).astype(np.float32)
        share = float(chance.random())
        assert terrain._quantile(values, share) == np.quantile(values, share)
