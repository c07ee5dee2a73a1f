"""One pass over all entries: counts, histograms and fair samples, in memory that does not grow with the dataset."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.outcome import Outcome, Reason
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.report.html.model import ALL, ReportImage, Subject
from earthsynth_factory.report.html.sketch import Reservoir, Sketch

PER_CLASS = 24
"""Pictures remembered of each class and outcome, from which the galleries choose."""

COMPARED = 1500
"""Kept images that are compared with one another."""

REASONS = 24
"""Different reasons that are counted apart; further ones are counted together."""

RULES = 16
"""Rules whose scores are drawn."""

OTHER = "other reasons"
FIELDS = 12
"""Fields a side, of the map of positions."""

STEPS = 4
"""Bins to an octave of the size histograms, which begin at 2^`LOWEST`."""
LOWEST, HIGHEST = -4, 16

Grid = npt.NDArray[np.int64]


@dataclass
class Shapes:
    """Instances of one class. pixels, metres: counts by √area. places: (FIELDS, FIELDS) counts of box centres, rows from
    the top.
    """

    count: int = 0
    pixels: Grid = field(default_factory=lambda: np.zeros((HIGHEST - LOWEST) * STEPS, np.int64))
    metres: Grid = field(default_factory=lambda: np.zeros((HIGHEST - LOWEST) * STEPS, np.int64))
    places: Grid = field(default_factory=lambda: np.zeros((FIELDS, FIELDS), np.int64))

    def add(self, instance: Instance, size: tuple[int, int], scale: float | None) -> None:
        """Count an instance of an image of `size` (width, height) pixels at `scale` metres per pixel."""
        side = instance.area**0.5
        self.count += 1
        _step(self.pixels, side)
        if scale:
            _step(self.metres, side * scale)
        x, y, width, height = instance.box
        column, row = (
            min(max(int((start + length / 2) / max(whole, 1) * FIELDS), 0), FIELDS - 1)
            for start, length, whole in ((x, width, size[0]), (y, height, size[1]))
        )
        self.places[row, column] += 1


@dataclass
class Tally:
    """images: (class, split, outcome) → images. outcomes: of images, each counted once. why: (class, reason) → images.

    final: class → slots given up. scores: (rule, class or `ALL`, outcome) → sketch. objects: class or `ALL` → shapes, of kept
    images.
    """

    images: Counter[tuple[int, str, Outcome]] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    why: Counter[tuple[int, str]] = field(default_factory=Counter)
    final: Counter[int] = field(default_factory=Counter)
    objects: dict[int, Shapes] = field(default_factory=lambda: defaultdict(Shapes))
    scores: dict[tuple[str, int, Outcome], Sketch] = field(default_factory=lambda: defaultdict(Sketch))
    galleries: dict[tuple[int, Outcome], Reservoir[ReportImage]] = field(default_factory=dict)
    compared: Reservoir[ReportImage] = field(default_factory=lambda: Reservoir(COMPARED, "compared"))
    _rules: set[str] = field(default_factory=set)
    _reasons: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, subject: Subject) -> Tally:
        """One pass. Raises StoreError, SourceError if the records are damaged."""
        tally = cls()
        for entry in subject.entries():
            tally.add(entry)
        return tally

    def add(self, entry: ReportImage) -> None:
        """Count an entry."""
        self.outcomes[entry.outcome] += 1
        self.images.update((group, entry.split, entry.outcome) for group in entry.groups)
        self.final.update(entry.groups if entry.final else ())
        for reason in {shown_rule(reason) for reason in entry.reasons}:
            self.why.update((group, self._known(reason)) for group in entry.groups)
        for rule, value in entry.scores.items():
            self._score(entry, rule, value)
        if entry.size and entry.outcome is Outcome.KEPT:
            for instance in entry.instances:
                for class_id in (ALL, instance.category):
                    self.objects[class_id].add(instance, entry.size, entry.metres_per_pixel)
        self._remember(entry)

    def made(self, class_id: int, *outcomes: Outcome) -> int:
        """Images of the class with one of these outcomes, over all splits."""
        return sum(
            number for (one, _, outcome), number in self.images.items() if one == class_id and outcome in outcomes
        )

    @property
    def classes(self) -> list[int]:
        """Every class that occurs, by descending number of kept images."""
        found = {class_id for class_id, _, _ in self.images} | {
            class_id for class_id in self.objects if class_id != ALL
        }
        return sorted(found, key=lambda class_id: (-self.made(class_id, Outcome.KEPT), class_id))

    @property
    def rules(self) -> list[str]:
        """Rules that gave scores, by name."""
        return sorted(self._rules)

    def _score(self, entry: ReportImage, rule: str, value: object) -> None:
        # A rule that does not apply says nothing that could be drawn; JSON has no NaN and writes null.
        if not isinstance(value, int | float) or not math.isfinite(value):
            return
        if rule in self._rules or len(self._rules) < RULES:
            self._rules.add(rule)
            for class_id in (ALL, *entry.groups):
                self.scores[rule, class_id, entry.outcome].add(value)

    def _known(self, reason: str) -> str:
        if reason in self._reasons or len(self._reasons) < REASONS:
            self._reasons.add(reason)
            return reason
        return OTHER

    def _remember(self, entry: ReportImage) -> None:
        if entry.outcome not in (Outcome.KEPT, Outcome.REJECTED):
            return
        light = entry.without_instances()
        for group in entry.groups:
            place = (group, entry.outcome)
            if place not in self.galleries:
                self.galleries[place] = Reservoir(PER_CLASS, f"gallery {group}")
            self.galleries[place].offer(entry.key, light)
        if entry.outcome is Outcome.KEPT:
            self.compared.offer(entry.key, light)


def shown_rule(reason: Reason) -> str:
    """What it is counted under, short enough for a column's head."""
    return reason.rule[:60]


def _step(bins: Grid, value: float) -> None:
    place = math.floor((math.log2(value) - LOWEST) * STEPS) if value > 0 else 0
    bins[min(max(place, 0), len(bins) - 1)] += 1
