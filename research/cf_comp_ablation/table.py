"""The ablation as Markdown: what the images of each mode are worth, and class by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from research import markdown
from research.cf_comp_ablation.plan import Drawn
from research.cf_comp_ablation.run import OTHERS, Outcome

_NAMES: dict[Drawn, str] = {"off": "off", "cf-comp": "CF-Comp", "random": "random copy-paste", "base": "untouched base"}
_STARTS = {"new": "a new ControlNet on the base's UNet", "base": "the base's own ControlNet"}

Arm = Mapping[str, Any]


def summary(outcome: Outcome) -> str:
    """What was done in a sentence, and a row for each mode beside the untouched base and real images alone."""
    metric = outcome.evaluations[OTHERS[0]]["metric"]
    header = ("images by", metric, "difference to real images alone, 95 %", "CF-Comp's less these, 95 %")
    rows = [
        (name, _spread(arm["scores"][metric]), *(_interval(one) for one in (arm.get("difference"), against)))
        for name, arm, against in _arms(outcome)
    ]
    return f"{_head(outcome)}\n\n{markdown.table(header, rows)}"


def by_class(outcome: Outcome) -> str:
    """The score of every class that the test judges; rare ones are marked."""
    arms, rare = list(_arms(outcome)), outcome.evaluations[OTHERS[0]]["classes"]["rare"]
    lines = [
        (name + (" (rare)" if name in rare else ""), *(_spread(arm["by_class"][name]) for _, arm, _ in arms))
        for name in arms[0][1]["by_class"]
    ]
    return markdown.table(("class", *(name for name, _, _ in arms)), lines)


def _head(outcome: Outcome) -> str:
    size, found = outcome.trial.size, outcome.evaluations[OTHERS[0]]
    seeds = "one seed" if len(size.seeds) == 1 else f"{len(size.seeds)} seeds each"
    counts, units, budget = found["images"], found["test_units"], found["budget"]
    return (
        f"From {_STARTS[outcome.trial.start]}: {size.steps} steps of {size.batch} samples on {outcome.samples:,} images, "
        f"{seeds}; {counts['synthetic']:,} images of each mode beside {counts['train']:,} real ones. `evaluate`: "
        f"{found['seeds']} seeds of {budget['steps']} steps of {budget['batch']} images, {found['model']['backbone']}, "
        f"judged on {units['count']} test {units['are']} (mean ± standard deviation over seeds)."
    )


def _arms(outcome: Outcome) -> Iterator[tuple[str, Arm, Mapping[str, Any] | None]]:
    """What an arm is called, the arm, and how CF-Comp's images did against it."""
    first = outcome.evaluations[OTHERS[0]]["shares"][0]
    yield "none: real alone", _arm(first, "real"), None
    yield _NAMES["cf-comp"], _arm(first, "synthetic"), None
    for other in OTHERS:
        share = outcome.evaluations[other]["shares"][0]
        yield _NAMES[other], _arm(share, "compared"), share["against_compared"]


def _arm(share: Mapping[str, Any], name: str) -> Arm:
    found: Arm = next(one for one in share["arms"] if one["arm"] == name)
    return found


def _spread(score: Mapping[str, float]) -> str:
    return f"{score['mean']:.1f} ± {score['deviation']:.1f}"


def _interval(gap: Mapping[str, float] | None) -> str:
    return "–" if gap is None else f"{gap['mean']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]"
