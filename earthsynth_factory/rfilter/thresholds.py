"""Thresholds from data: percentiles of the scores that real images have, class by class.

Of the share of real images that all calibrated rules together may refuse each has an equal part, so that by the union
bound the whole stays within it on the images it was calibrated on. Ours; EarthSynth publishes none.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Values = Mapping[str, Mapping[int | None, Sequence[float]]]
"""Rule → category (None: all) → values of its primary measure."""


@dataclass(frozen=True)
class Thresholds:
    """rule → category → least value. None as category: for classes with too few images of their own."""

    least: Mapping[str, Mapping[int | None, float]] = field(default_factory=dict)

    def __or__(self, other: Thresholds) -> Thresholds:
        """Both; if both have a rule the other's."""
        return Thresholds({**self.least, **other.least})

    def of(self, rule: str, category: int | None) -> float | None:
        """The least value, None if the rule's own stands."""
        known = self.least.get(rule, {})
        return known.get(category, known.get(None))

    def at_least(self, floors: Mapping[str, float]) -> Thresholds:
        """The same, but no rule's below its floor. floors: rule → value."""
        return Thresholds(
            {rule: {c: max(v, floors.get(rule, v)) for c, v in classes.items()} for rule, classes in self.least.items()}
        )

    def plain(self) -> dict[str, dict[str, float]]:
        """As plain JSON, rule → class id or `all` → least value."""
        return {
            rule: {"all" if category is None else str(category): value for category, value in classes.items()}
            for rule, classes in self.least.items()
        }


NO_THRESHOLDS = Thresholds()
"""Every rule keeps its own."""


def grouped(rows: Iterable[tuple[int | None, Mapping[str, float]]]) -> dict[str, dict[int | None, array[float]]]:
    """Values by rule and class from (category, rule → value) of each image; None gathers all classes."""
    found: dict[str, dict[int | None, array[float]]] = defaultdict(lambda: defaultdict(lambda: array("d")))
    for category, values in rows:
        for rule, value in values.items():
            for key in {category, None}:
                found[rule][key].append(value)
    return found


def calibrate(values: Values, share: float, least_images: int) -> Thresholds:
    """The percentile by which each rule refuses `share`, in (0, 1); classes with fewer images share the pooled one."""
    return Thresholds(
        {
            rule: {
                category: float(np.quantile(numbers, share, method="lower"))
                for category, numbers in classes.items()
                if category is None or len(numbers) >= least_images
            }
            for rule, classes in values.items()
        }
    )
