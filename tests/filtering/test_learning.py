"""Thresholds that a run learns from itself: they tighten rules, and never loosen them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from earthsynth_factory.filtering.columns import Known
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.filtering.thresholds import learn

SHIP = 17


def rule(least: float) -> Any:
    """One that compares with a model, whose own threshold is `least`."""
    spec = SimpleNamespace(threshold="min_share", model_fields_set=set(), cost=1)
    return SimpleNamespace(
        name="instance_class", spec=spec, settings="s", rule=SimpleNamespace(primary="share", least=least)
    )


def rows(*shares: float) -> list[Known]:
    return [Known(SHIP, True, {"instance_class": {"share": share}}) for share in shares]


def test_a_run_of_noise_does_not_set_its_own_bar() -> None:
    """A network with random weights: no object looks like its label, so the percentile of the run is 0."""
    noise = rows(*[0.0] * 40)
    assert learn(FilterSpec(), [rule(0.5)], noise, real=False).of("instance_class", SHIP) == 0.5


def test_a_good_run_raises_the_bar_and_real_images_may_lower_it() -> None:
    good = rows(*[0.8] * 40)
    assert learn(FilterSpec(), [rule(0.5)], good, real=False).of("instance_class", SHIP) == 0.8
    assert learn(FilterSpec(), [rule(0.5)], rows(*[0.3] * 40), real=True).of("instance_class", SHIP) == 0.3
