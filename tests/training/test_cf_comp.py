"""CF-Comp on constructed batches: where pixels come from, what masks and prompts say, and what the choice prefers."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.domain import partners
from earthsynth_factory.domain.masks import present_classes
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.training.cf_comp import criteria
from earthsynth_factory.training.cf_comp.compose import Composed, paste
from earthsynth_factory.training.cf_comp.criteria import Members
from earthsynth_factory.training.cf_comp.preview import tile
from earthsynth_factory.training.cf_comp.select import choose
from earthsynth_factory.training.cf_comp.spec import CfCompSpec

ROAD, WATER, BUILDING, TANK = 4, 6, 8, 25
SIZE = 32


def masks(*classes: int, rows: int = 8) -> np.ndarray:
    """One mask a class: a band of `rows` rows, at a height that differs from mask to mask."""
    out = np.zeros((len(classes), SIZE, SIZE), np.uint8)
    for number, category in enumerate(classes):
        top = (number * rows) % SIZE
        out[number, top : top + rows] = category
    return out


def members(labels: np.ndarray, colour_stats: np.ndarray | None = None, sources: list[str] | None = None) -> Members:
    things = np.zeros(256, bool)
    things[[c.id for c in earthsynth() if c.thing]] = True
    held = np.bincount([i for mask in labels for i in np.unique(mask)], minlength=256)
    if colour_stats is None:
        colour_stats = np.linspace(0, 1, len(labels))[:, None].repeat(6, 1)
    return Members(labels, colour_stats, np.array(sources or ["AA"] * len(labels)), partners.rarity(held), things)


def draws(batch: Members, spec: CfCompSpec, count: int, times: int = 200) -> list:
    return [c for n in range(times) for c in choose(batch, spec, count, np.random.default_rng(n))[0]]


def test_pixels_come_from_exactly_the_right_source() -> None:
    random = np.random.default_rng(0)
    labels = masks(ROAD, WATER, BUILDING, TANK)
    images = random.integers(0, 255, (4, SIZE, SIZE, 3), dtype=np.uint8)
    choices, regions = choose(members(labels), CfCompSpec(), 4, random)
    assert len(choices) == 4
    for choice in choices:
        i, j, region = choice.base, choice.donor, regions[choice.donor]
        image, mask = paste((images[i], labels[i]), (images[j], labels[j]), region)
        assert region.any() and i != j
        np.testing.assert_array_equal(image[region], images[j][region])
        np.testing.assert_array_equal(image[~region], images[i][~region])
        np.testing.assert_array_equal(mask[region], labels[j][region])
        np.testing.assert_array_equal(mask[~region], labels[i][~region])
        assert set(np.unique(labels[j][region]).tolist()) == set(choice.classes)
        assert choice.share == pytest.approx(region.mean(), abs=1e-6)


def test_sizes_must_agree() -> None:
    small, large = (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)), (
        np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5), np.uint8),
    )  # fmt: skip
    with pytest.raises(ValueError, match="sizes differ"):
        paste(small, large, np.ones((4, 4), bool))


def test_pairs_are_merged_both_ways_and_nobody_comes_twice_before_all_had_a_turn() -> None:
    labels = masks(ROAD, WATER, BUILDING, TANK, ROAD, WATER, BUILDING, TANK)
    for seed in range(20):
        choices, _ = choose(members(labels), CfCompSpec(), 8, np.random.default_rng(seed))
        assert [(c.base, c.donor) for c in choices[::2]] == [(c.donor, c.base) for c in choices[1::2]]
        assert sorted(c.base for c in choices) == list(range(8))


def test_the_figure_is_the_default_eight_real_give_four() -> None:
    assert CfCompSpec().composed(12) == 4
    assert CfCompSpec(mode="off").composed(12) == 0
    assert CfCompSpec(share=0.5).composed(3) == 1
    assert CfCompSpec(share=0.5).composed(2) == 0


def test_image_criterion_prefers_what_looks_different_and_other_datasets() -> None:
    colour_stats = np.array([0.2, 0.21, 0.8])[:, None].repeat(6, 1)
    score = criteria.image_score(members(masks(ROAD, ROAD, ROAD), colour_stats))
    assert np.diag(score).tolist() == [0, 0, 0]
    assert score[0, 1] < 0.15 < 0.85 < score[0, 2]
    elsewhere = criteria.image_score(members(masks(ROAD, ROAD, ROAD), colour_stats, ["AA", "BB", "BB"]))
    assert 0.5 <= elsewhere[0, 1] < elsewhere[0, 2]


def test_mask_criterion_wants_a_fitting_area_and_spares_objects_of_the_base() -> None:
    labels = masks(BUILDING, WATER, TANK)
    labels[2] = 0
    labels[2, :4] = TANK  # half on the building of 0, clear of the water of 1
    batch = members(labels)
    score = criteria.mask_score(batch, labels > 0, (0.01, 0.6))
    assert score[0, 2] == 0
    assert score[1, 2] == 1
    assert criteria.mask_score(batch, labels > 0, (0.3, 0.6)).max() == 0


def test_pasted_areas_stay_within_bounds_in_the_baseline_too() -> None:
    labels = masks(ROAD, WATER, BUILDING, TANK)
    labels[:2, 4:30] = (np.array([ROAD, WATER]))[:, None, None]  # these two fill most of their scene
    labels[:2, :2] = TANK
    bounded = draws(members(labels), CfCompSpec(area=(0.01, 0.4)), 2)
    assert max(c.share for c in bounded) <= 0.4
    assert max(c.share for c in draws(members(labels), CfCompSpec(mode="random", area=(0.01, 0.4)), 2)) <= 0.4
    assert max(c.share for c in draws(members(labels), CfCompSpec(mask=0, area=(0.01, 0.4)), 2)) > 0.6


def test_a_scene_of_one_class_lends_nothing_rather_than_a_copy_of_itself() -> None:
    labels = masks(ROAD, TANK, WATER)
    labels[0] = ROAD
    made = draws(members(labels), CfCompSpec(), 2)
    assert {c.base for c in made} == {1, 2}


def test_text_criterion_moves_the_class_histogram_to_the_rare_ones() -> None:
    labels = masks(ROAD, ROAD, ROAD, ROAD, ROAD, WATER, WATER, TANK)

    def tanks(**knobs: object) -> float:
        spec = CfCompSpec.model_validate({"image": 0, "mask": 0, **knobs})
        made = draws(members(labels), spec, 2)
        return sum(TANK in choice.classes for choice in made) / len(made)

    blind, some, much = tanks(text=0), tanks(text=1), tanks(text=4)
    assert blind == pytest.approx(1 / 8, abs=0.05)
    assert blind + 0.1 < some < much
    assert tanks(mode="random", text=4) == pytest.approx(blind, abs=0.05)


def test_text_score_counts_only_what_the_base_lacks() -> None:
    batch = members(masks(ROAD, ROAD, TANK))
    brought = np.stack([np.bincount(np.unique(m), minlength=256) > 0 for m in batch.masks])
    brought[:, 0] = False
    score = criteria.text_score(batch, brought)
    assert score[0, 1] == 0
    assert score[0, 2] == 1
    assert score[2, 0] == pytest.approx(np.sqrt(1 / 2))


def test_switched_off_criteria_leave_no_score_and_the_baseline_has_none() -> None:
    batch = members(masks(ROAD, WATER, BUILDING, TANK))
    assert set(draws(batch, CfCompSpec(image=0), 2, 1)[0].scores) == {"mask", "text"}
    assert draws(batch, CfCompSpec(mode="random"), 2, 1)[0].scores == {}


def test_the_baseline_draws_partners_blindly() -> None:
    made = draws(members(masks(ROAD, ROAD, ROAD, TANK)), CfCompSpec(mode="random"), 2, 600)
    pairs = np.array([(c.base, c.donor) for c in made])
    counts = np.bincount(4 * pairs[:, 0] + pairs[:, 1], minlength=16).reshape(4, 4)
    assert (np.diag(counts) == 0).all()
    assert counts[~np.eye(4, dtype=bool)] == pytest.approx(100, abs=45)


def test_scenes_without_foreground_lend_nothing_and_are_passed_over() -> None:
    labels = masks(0, 0, ROAD, TANK)
    assert {c.base for c in draws(members(labels), CfCompSpec(), 2)} == {2, 3}
    empty = draws(members(masks(0, 0)), CfCompSpec(), 2, 1)
    assert [c.classes for c in empty] == [(), ()]


def test_choices_follow_the_generator_alone() -> None:
    batch = members(masks(ROAD, WATER, BUILDING, TANK, ROAD, TANK))
    first, again, other = (choose(batch, CfCompSpec(), 4, np.random.default_rng(s))[0] for s in (3, 3, 5))
    assert first == again != other


def test_classes_of_a_composed_mask() -> None:
    labels = masks(ROAD, TANK)
    _, mask = paste(*(((np.zeros((SIZE, SIZE, 3), np.uint8)), m) for m in labels), labels[1] > 0)
    assert present_classes(mask) == [ROAD, TANK]


def test_a_picture_shows_base_donor_pasted_and_result() -> None:
    labels = masks(ROAD, TANK)
    images = np.stack([np.full((SIZE, SIZE, 3), value, np.uint8) for value in (50, 200)])
    choices, regions = choose(members(labels), CfCompSpec(), 2, np.random.default_rng(1))
    choice = choices[0]
    pairs = list(zip(images, labels, strict=True))
    one = Composed(choice, pairs[choice.base], pairs[choice.donor], regions[choice.donor], "A satellite image of road")
    picture = tile(one, earthsynth(), side=64)
    assert picture.shape[1] == 5 * 64
    assert {int(picture[32, 32, 0]), int(picture[32, 96, 0])} == {50, 200}
