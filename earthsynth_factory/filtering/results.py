"""What a finished filter says: tables, keep-list, thresholds, curves, counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.decisions import DECISIONS, Decision
from earthsynth_factory.domain.outcome import UNUSABLE, Reason
from earthsynth_factory.filtering.columns import Known, ScoreColumns
from earthsynth_factory.filtering.curves import Curve, draw_curves
from earthsynth_factory.filtering.labelled_folder import LabelledFolder
from earthsynth_factory.filtering.measuring import Asked
from earthsynth_factory.filtering.scores import ScoreJournal
from earthsynth_factory.filtering.tables import write_tables
from earthsynth_factory.filtering.thresholds import reasons_of
from earthsynth_factory.io.atomic import changed_file, json_bytes, write_changed
from earthsynth_factory.recipe.thresholds import ALL, lasting_settings
from earthsynth_factory.rfilter.judge import Judge
from earthsynth_factory.rfilter.selections.base import Bools

THRESHOLDS = "thresholds.yaml"


ThresholdSource = Literal["real", "shipped", "run"]
"""Percentiles of real images that were given; those that ship, for a build; percentiles within the run."""


@dataclass(frozen=True)
class FilterSummary:
    """What was decided. classes: name → (kept, all).

    scored: rule → images that it had to look at in this run; what is stored is not looked at again.
    """

    out: Path
    recognised: str
    images: int
    kept: int
    thresholds_from: ThresholdSource
    classes: dict[str, tuple[int, int]]
    reasons: dict[str, int]
    faults: list[str]
    scored: dict[str, int]


@dataclass(frozen=True)
class Decided:
    """What was decided of each image of a folder. passed: (N,) which the rules kept; gone: those of them that a selection
    dropped, and why.
    """

    judge: Judge
    journal: ScoreJournal
    passed: Bools
    gone: Mapping[int, Reason]

    @property
    def scores(self) -> ScoreColumns:
        return self.journal.scores

    @cached_property
    def kept(self) -> Bools:
        """(N,) which images stay."""
        found = self.passed.copy()
        found[list(self.gone)] = False
        return found

    def why(self, place: int) -> list[Reason]:
        """Why an image goes; empty if it stays."""
        if not self.scores.usable[place]:
            return [Reason(UNUSABLE, self.fault(place))]
        if self.passed[place]:
            return [self.gone[place]] if place in self.gone else []
        return reasons_of(self.judge, self.scores.known(place))

    def fault(self, place: int) -> str:
        """Why an image could not be read."""
        row = self.journal.row(place)
        return row.fault if row else ""


@dataclass(frozen=True)
class FilterResults:
    """What is written of it. real: the images that thresholds were learnt from, None without; source: of the thresholds."""

    folder: LabelledFolder
    decided: Decided
    real: ScoreColumns | None
    scored: Mapping[str, int]
    source: ThresholdSource

    @property
    def judge(self) -> Judge:
        return self.decided.judge

    def write(self, out: Path, asked: Mapping[str, Any], learnt_from: str) -> FilterSummary:
        """Every file but the filtered folder. asked: what the user set, as plain JSON. learnt_from: the real images.

        Raises DiskError.
        """
        summary = self._summary(out)
        write_tables(out, self._columns(), self._table)
        with changed_file(out / DECISIONS) as file:
            file.writelines(self._decisions())
        with changed_file(out / "keep.txt") as file:
            names = self.folder.names
            file.writelines(f"{names[place]}\n".encode() for place in np.flatnonzero(self.decided.kept).tolist())
        write_changed(out / "filter.json", json_bytes(self._facts(summary, asked)))
        draw_curves(out / "curves.png", {rule.name: self._curve(rule) for rule in self.judge.rules})
        if self.real is not None:
            said = f"{len(self.real)} images of {learnt_from}"
            write_changed(out / THRESHOLDS, thresholds_file(self.folder, self.judge, said))
        return summary

    def _decisions(self) -> Iterator[bytes]:
        for place, (name, known) in enumerate(zip(self.folder.names, self.decided.scores, strict=True)):
            cells = self._cells(known)
            scores = {rule.name: cells[rule.name] for rule in self.judge.rules if rule.name in cells}
            yield Decision(name, self._name(known.category), tuple(self.decided.why(place)), scores).line()

    def _facts(self, summary: FilterSummary, asked: Mapping[str, Any]) -> dict[str, Any]:
        said = {key: value for key, value in asdict(summary).items() if key not in ("out", "scored")}
        classes = {name: {"kept": some, "all": count} for name, (some, count) in summary.classes.items()}
        thresholds = {rule.name: _shown(self.folder, self.judge, rule) for rule in self.judge.rules}
        about = {"source": str(self.folder.path.resolve()), "kind": self.folder.kind}
        return {**about, **said, "classes": classes, "thresholds": thresholds, **asked}

    def _columns(self) -> list[str]:
        names = [rule.name for rule in self.judge.rules]
        firsts = sorted(
            (first, number, measures)
            for number, name in enumerate(names)
            for first, measures in self.decided.scores.measures(name)
        )
        measured = dict.fromkeys(f"{names[number]}.{name}" for _, number, measures in firsts for name in measures)
        return [
            "id",
            "image",
            "category",
            "kept",
            "reasons",
            *names,
            *measured,
            *(f"threshold.{name}" for name in names),
        ]

    def _table(self) -> Iterator[dict[str, Any]]:
        for place, (entry, known) in enumerate(zip(self.folder.entries, self.decided.scores, strict=True)):
            reasons = self.decided.why(place)
            yield {
                "id": entry.name,
                "image": str(entry.files[0]),
                "category": self._name(known.category),
                "kept": int(not reasons),
                "reasons": "; ".join(map(str, reasons)),
                **self._cells(known),
            }

    def _cells(self, known: Known) -> dict[str, float]:
        cells: dict[str, float] = {}
        for rule in self.judge.rules:
            measures = known.measured.get(rule.name, {})
            if measures:
                cells[rule.name] = self.judge.score(rule, measures, known.category).value
                cells[f"threshold.{rule.name}"] = self.judge.limits.least(rule, known.category)
            cells |= {f"{rule.name}.{name}": value for name, value in measures.items()}
        return cells

    def _name(self, category: int | None) -> str:
        return "" if category is None else self.folder.taxonomy[category].name

    def _curve(self, rule: Asked) -> Curve:
        def values(part: ScoreColumns | None) -> npt.NDArray[np.float64]:
            found = part.column(rule.name, rule.rule.primary) if part is not None else np.empty(0)
            return found[np.isfinite(found)]

        return values(self.decided.scores), values(self.real), self.judge.limits.least(rule, None)

    def _summary(self, out: Path) -> FilterSummary:
        everyone, staying, counted = Counter[str](), Counter[str](), Counter[str]()
        for place in np.flatnonzero(self.decided.scores.usable).tolist():
            name = self._name(self.decided.scores.category(place)) or "negatives"
            everyone[name] += 1
            staying[name] += int(self.decided.kept[place])
            counted.update(reason.rule for reason in self.decided.why(place))
        faulty = np.flatnonzero(~self.decided.scores.usable).tolist()
        return FilterSummary(
            out,
            self.folder.recognised,
            len(self.decided.scores),
            sum(staying.values()),
            self.source,
            {name: (staying[name], count) for name, count in sorted(everyone.items())},
            dict(counted.most_common()),
            [*self.folder.faults, *map(self.decided.fault, faulty)],
            dict(self.scored),
        )


def thresholds_file(folder: LabelledFolder, judge: Judge, learnt_from: str) -> bytes:
    """What a recipe takes; values as JSON, which YAML takes too."""
    lines = [f"learnt_from: {json.dumps(learnt_from)}", "rules:"]
    for rule in judge.rules:
        lines += [
            f"  {json.dumps(rule.name)}:",
            f"    settings: {json.dumps(lasting_settings(rule.spec))}",
            f"    least: {json.dumps(_shown(folder, judge, rule))}",
        ]
    return "\n".join([*lines, ""]).encode()


def _shown(folder: LabelledFolder, judge: Judge, rule: Asked) -> dict[str, float]:
    """Least values by class name; `all` for classes without one of their own."""
    limits = judge.limits
    classes = {*limits.learnt.least.get(rule.name, {}), *limits.given.least.get(rule.name, {})}
    named = {folder.taxonomy[one].name: limits.least(rule, one) for one in classes if one is not None}
    return {ALL: limits.least(rule, None), **dict(sorted(named.items()))}
