"""Intervals hold what they promise, and say what it would take to see more."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.evaluation.intervals import difference, quantile, resamplings, seeds_needed, worth


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (2, 4.303), (3, 3.182), (10, 2.228), (2000, 1.960)])
def test_students_t(freedom: float, expected: float) -> None:
    assert quantile(0.975, freedom) == pytest.approx(expected, abs=2e-3)


def test_the_interval_holds_nothing_at_the_promised_rate() -> None:
    """No true difference, spread between seeds and between scenes: one interval in twenty may miss zero."""
    random, missed = np.random.default_rng(0), 0
    for trial in range(400):
        scene_gaps = random.normal(0, 0.1, 40) + random.normal(0, 0.02, (4, 1)) * np.ones(40)
        weights = resamplings(np.arange(40), trial, 60)
        gaps = scene_gaps @ weights.T / weights.sum(axis=1)
        missed += difference(np.zeros_like(gaps), gaps, 40).word != "no effect seen"
    assert missed / 400 < 0.08


def test_a_difference_far_beyond_its_spread_is_seen_either_way() -> None:
    base = np.full((4, 11), 0.5)
    gain = base + np.array([0.02, 0.021, 0.019, 0.022])[:, None]
    assert difference(base, gain, 30).word == "helps"
    assert difference(gain, base, 30).word == "harms"
    assert difference(base, base, 30).word == "no effect seen"


def test_pairing_takes_away_what_seeds_share() -> None:
    seeds = np.array([0.3, 0.5, 0.4, 0.6])[:, None] * np.ones(11)
    assert difference(seeds, seeds + 0.01, 30).mean == pytest.approx(1.0)
    assert difference(seeds, seeds + 0.01, 30).word == "helps"


def test_more_seeds_are_needed_for_less() -> None:
    # About 2 · (1.96 + 0.84)² · spread² / difference² of unpaired runs; paired differences need the half of it.
    assert seeds_needed(1.0, 1.4, 0.0) == 18
    assert seeds_needed(2.0, 1.4, 0.0) == 6
    assert seeds_needed(0.5, 1.4, 0.5) is None


def test_scenes_are_drawn_whole() -> None:
    units = np.array([0, 0, 1, 1, 1, 2])
    rows = resamplings(units, 1, 50)
    assert (rows[0] == 1).all()
    assert all(len(set(row[units == unit])) == 1 for row in rows for unit in range(3))
    assert all(sum(row[np.unique(units, return_index=True)[1]]) == 3 for row in rows)


def test_worth_is_read_off_the_curve_and_never_beyond_it() -> None:
    assert worth([50, 100], [30.0, 40.0], 35.0) == (pytest.approx(70.7, abs=0.1), "≈")
    assert worth([50, 100], [30.0, 40.0], 45.0) == (100.0, ">")
    assert worth([50, 100], [30.0, 40.0], 25.0) == (50.0, "<")
