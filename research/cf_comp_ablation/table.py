"""The ablation as Markdown: mean ± standard deviation over seeds, and IoU class by class."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from earthsynth_factory.domain.taxonomy import earthsynth
from research import markdown
from research.cf_comp_ablation.judge import Scores, Verdict
from research.cf_comp_ablation.run import Outcome

_NAMES = {"off": "off", "cf-comp": "CF-Comp", "random": "random copy-paste"}
_STARTS = {"new": "a new ControlNet on the base's UNet", "base": "the base's own ControlNet"}


def summary(outcome: Outcome) -> str:
    """What was done in a sentence, and a row for each mode beside the untouched base and the real images."""
    header = ("composition", "mask fidelity, mIoU", "rare classes", "CLIP region accuracy", "rare classes")
    rows = [(name, *_cells(outcome, found)) for name, found in _rows(outcome)]
    return f"{_head(outcome)}\n\n{markdown.table(header, rows)}"


def by_category(outcome: Outcome) -> str:
    """IoU of every judged category; rare ones are marked."""
    rows = _rows(outcome)
    lines = []
    for category in outcome.real.iou:
        name = earthsynth()[category].name + (" (rare)" if category in outcome.rare else "")
        lines.append((name, *(_spread([one.iou.get(category, 0.0) for one in found]) for _, found in rows)))
    return markdown.table(("IoU", *(name for name, _ in rows)), lines)


def _head(outcome: Outcome) -> str:
    size = outcome.trial.size
    names = ", ".join(earthsynth()[category].name for category in outcome.rare)
    return (
        f"From {_STARTS[outcome.trial.start]}: {size.steps} steps of {size.batch} samples on {outcome.samples:,} "
        f"images, {'one seed' if len(size.seeds) == 1 else f'{len(size.seeds)} seeds each (mean ± standard deviation)'}; "
        f"{outcome.conditions} masks of held-out scenes, {size.sampling} denoising steps. "
        f"Rare, the third of classes that fewest training images hold: {names}."
    )


def _rows(outcome: Outcome) -> list[tuple[str, list[Verdict]]]:
    modes = [(_NAMES[mode], found) for mode, found in outcome.modes.items()]
    return [*modes, ("untouched base", [outcome.base]), ("real images", [outcome.real])]


def _cells(outcome: Outcome, found: Sequence[Verdict]) -> Iterable[str]:
    for scores in ([one.iou for one in found], [one.regions for one in found]):
        for kept in (set(outcome.real.iou), set(outcome.rare)):
            yield _spread([_mean(one, kept) for one in scores])


def _mean(scores: Scores, kept: Collection[int]) -> float:
    """Mean over categories, so that a common one weighs no more than a rare one; NaN if none was judged."""
    values = [value for category, value in scores.items() if category in kept]
    return float(np.mean(values)) if values else float("nan")


def _spread(values: Sequence[float]) -> str:
    text = f"{np.mean(values):.1%}"
    return text if len(values) < 2 else f"{text} ± {np.std(values, ddof=1):.1%}"
