"""What a finished filter says: tables, keep-list, thresholds, curves, counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from earthsynth_factory.datasets.decisions import DECISIONS, Decision
from earthsynth_factory.domain.outcome import Reason
from earthsynth_factory.filtering.curves import Curve, draw_curves
from earthsynth_factory.filtering.labelled_folder import Folder
from earthsynth_factory.filtering.scores import Row, write_tables
from earthsynth_factory.filtering.scoring import AskedRule
from earthsynth_factory.filtering.thresholds import Limits
from earthsynth_factory.io.atomic import changed_file, json_bytes, write_changed
from earthsynth_factory.recipe.thresholds import ALL, lasting_settings

THRESHOLDS = "thresholds.yaml"


@dataclass(frozen=True)
class FilterSummary:
    """What was decided. thresholds_from: `real`, or `run` where nothing real was given. classes: name → (kept, all).

    scored: rule → images that it had to look at in this run; what is stored is not looked at again.
    """

    out: Path
    recognised: str
    images: int
    kept: int
    thresholds_from: str
    classes: dict[str, tuple[int, int]]
    reasons: dict[str, int]
    faults: list[str]
    scored: dict[str, int]


@dataclass(frozen=True)
class FilterResults:
    """rows: of the folder's entries, in their order; why: reasons of each, empty where kept. real: rows of the
    images that thresholds were learnt from, None without.
    """

    folder: Folder
    rules: Sequence[AskedRule]
    rows: Sequence[Row]
    real: Sequence[Row] | None
    limits: Limits
    why: Sequence[Sequence[Reason]]
    scored: Mapping[str, int]

    @property
    def kept(self) -> list[str]:
        """Names of the entries that stay."""
        return [row.name for row, reason in zip(self.rows, self.why, strict=True) if not reason]

    def write(self, out: Path, asked: Mapping[str, Any], learnt_from: str) -> FilterSummary:
        """Every file but the filtered folder. asked: what the user set, as plain JSON. learnt_from: the real images.

        Raises DiskError.
        """
        summary = self._summary(out)
        write_tables(out, self._columns(), self._table)
        with changed_file(out / DECISIONS) as file:
            file.writelines(self._decisions())
        write_changed(out / "keep.txt", "".join(f"{name}\n" for name in self.kept).encode())
        write_changed(out / "filter.json", json_bytes(self._facts(summary, asked)))
        draw_curves(out / "curves.png", {rule.name: self._curve(rule) for rule in self.rules})
        if self.real is not None:
            write_changed(out / THRESHOLDS, self.thresholds(f"{len(self.real)} images of {learnt_from}"))
        return summary

    def _decisions(self) -> Iterator[bytes]:
        for row, reason in zip(self.rows, self.why, strict=True):
            cells = self._cells(row)
            scores = {rule.name: cells[rule.name] for rule in self.rules if rule.name in cells}
            yield Decision(row.name, self._name(row.category), tuple(reason), scores).line()

    def _facts(self, summary: FilterSummary, asked: Mapping[str, Any]) -> dict[str, Any]:
        said = {key: value for key, value in asdict(summary).items() if key not in ("out", "scored")}
        classes = {name: {"kept": some, "all": count} for name, (some, count) in summary.classes.items()}
        thresholds = {rule.name: self._shown(rule) for rule in self.rules}
        about = {"source": str(self.folder.path.resolve()), "kind": self.folder.kind}
        return {**about, **said, "classes": classes, "thresholds": thresholds, **asked}

    def thresholds(self, learnt_from: str) -> bytes:
        """What a recipe takes; values as JSON, which YAML takes too."""
        lines = [f"learnt_from: {json.dumps(learnt_from)}", "rules:"]
        for rule in self.rules:
            lines += [
                f"  {json.dumps(rule.name)}:",
                f"    settings: {json.dumps(lasting_settings(rule.spec))}",
                f"    least: {json.dumps(self._shown(rule))}",
            ]
        return "\n".join([*lines, ""]).encode()

    def _columns(self) -> list[str]:
        names = [rule.name for rule in self.rules]
        measured = dict.fromkeys(
            f"{rule.name}.{name}"
            for row in self.rows
            for rule in self.rules
            for name in row.measures(rule.name, rule.settings) or {}
        )
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
        for entry, row, reason in zip(self.folder.entries, self.rows, self.why, strict=True):
            yield {
                "id": row.name,
                "image": str(entry.files[0]),
                "category": self._name(row.category),
                "kept": int(not reason),
                "reasons": "; ".join(map(str, reason)),
                **self._cells(row),
            }

    def _cells(self, row: Row) -> dict[str, float]:
        cells: dict[str, float] = {}
        for rule in self.rules:
            measures = row.measures(rule.name, rule.settings) or {}
            if measures and (score := self.limits.score(rule, row)) is not None:
                cells[rule.name] = score.value
                cells[f"threshold.{rule.name}"] = self.limits.least(rule, row.category)
            cells |= {f"{rule.name}.{name}": value for name, value in measures.items()}
        return cells

    def _name(self, category: int | None) -> str:
        return "" if category is None else self.folder.taxonomy[category].name

    def _shown(self, rule: AskedRule) -> dict[str, float]:
        """Least values by class name; `all` for classes without one of their own."""
        learnt = self.limits.data.least.get(rule.name, {})
        classes = {*learnt, *(one for one, own in self.limits.own.items() if rule.name in own)} - {None}
        named = {self._name(one): self.limits.least(rule, one) for one in classes}
        return {ALL: self.limits.least(rule, None), **dict(sorted(named.items()))}

    def _curve(self, rule: AskedRule) -> Curve:
        def values(part: Sequence[Row]) -> list[float]:
            found = (row.measures(rule.name, rule.settings) or {} for row in part)
            return [numbers[rule.rule.primary] for numbers in found if rule.rule.primary in numbers]

        return values(self.rows), values(self.real or []), self.limits.least(rule, None)

    def _summary(self, out: Path) -> FilterSummary:
        usable = [(row, reason) for row, reason in zip(self.rows, self.why, strict=True) if not row.fault]
        everyone = Counter(self._name(row.category) or "negatives" for row, _ in usable)
        staying = Counter(self._name(row.category) or "negatives" for row, reason in usable if not reason)
        counted = Counter(one.rule for _, reason in usable for one in reason)
        return FilterSummary(
            out,
            self.folder.recognised,
            len(self.rows),
            sum(staying.values()),
            "run" if self.real is None else "real",
            {name: (staying[name], count) for name, count in sorted(everyone.items())},
            dict(counted.most_common()),
            [*self.folder.faults, *(row.fault for row in self.rows if row.fault)],
            dict(self.scored),
        )
