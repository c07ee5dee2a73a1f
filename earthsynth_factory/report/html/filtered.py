"""What `filter` decided of a folder of images, as the subject of a report."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.printable import one_line
from earthsynth_factory.io.tables import uncell
from earthsynth_factory.report.html.model import ALL, NOTHING, Entry, RuleFacts, Subject, Verdict
from earthsynth_factory.report.html.prepared import entry_of

DECISION, SCORES = "filter.json", "scores.csv"
"""The two files of a filter's output that are read here."""

UNUSABLE = "unusable"


@dataclass(frozen=True)
class Source:
    """The images that were filtered. entries: all of them in the order of the folder, each as if it were kept; one without
    a group is counted under the class that the filter judged it by. absent: as a subject has it.
    """

    name: str
    taxonomy: Taxonomy
    splits: Sequence[str]
    entries: Callable[[], Iterator[Entry]]
    absent: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: LabelledDataset) -> Source:
        """A build or a prepared dataset."""

        def entries() -> Iterator[Entry]:
            return (entry_of(dataset, record) for record in dataset.samples())

        return cls(dataset.name, dataset.taxonomy, dataset.splits, entries)


def read_decision(folder: Path) -> Mapping[str, Any]:
    """`filter.json`. Raises StoreError where it is damaged."""
    path = folder / DECISION
    try:
        found = orjson.loads(path.read_bytes())
        if not all(isinstance(found[key], str) for key in ("kind", "source")):
            raise ValueError("kind and source are to be words")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: damaged ({error}); run the same filter command again") from error
    return dict(found)


def subject_of_filter(folder: Path, decision: Mapping[str, Any], source: Source) -> Subject:
    """decision: as `read_decision` gives it. source: of the decision. Raises StoreError where they do not fit together."""
    learnt = {"real": "percentiles of real images", "run": "percentiles within the run, for want of real images"}
    facts = [(name, str(decision.get(name, ""))) for name in ("recognised", "images", "kept")]
    facts.append(("thresholds from", learnt.get(str(decision.get("thresholds_from")), "unknown")))
    config = orjson.dumps(decision.get("config"), option=orjson.OPT_INDENT_2).decode()
    return Subject(
        name=f"{source.name}, filtered",
        lead="What the filter decided of these images. Nothing in their folder was changed.",
        taxonomy=source.taxonomy,
        splits=source.splits,
        entries=partial(_entries, folder, decision, source),
        rules={str(rule): _limits(source.taxonomy, least) for rule, least in decision.get("thresholds", {}).items()},
        absent=source.absent,
        making=[("Filter", [(name, text) for name, text in facts if text])],
        document=config,
    )


def _limits(taxonomy: Taxonomy, least: Mapping[str, float]) -> RuleFacts:
    found = {ALL: float(least["all"])} if "all" in least else {}
    for name, value in least.items():
        category = taxonomy.find(name)
        if category is not None and name != "all":
            found[category.id] = float(value)
    return RuleFacts(found)


def _entries(folder: Path, decision: Mapping[str, Any], source: Source) -> Iterator[Entry]:
    """Records and rows side by side; both are in the order of the folder."""
    rules = list(decision.get("thresholds", {}))
    path = folder / SCORES
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for entry, row in zip_longest(source.entries(), csv.DictReader(file)):
                if entry is None or row is None or None in row.values() or uncell(row["id"]) != one_line(entry.name):
                    where = decision["source"]
                    raise StoreError(f"{path}: {where} has other images now; run the same filter command again")
                if not entry.groups:
                    category = source.taxonomy.find(uncell(row["category"]))
                    entry = replace(entry, groups=(category.id if category else NOTHING,))
                yield _judged(entry, row, rules, set(decision.get("reasons", {})))
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise StoreError(f"{path}: damaged ({error}); run the same filter command again") from error


def _judged(entry: Entry, row: Mapping[str, str], rules: list[str], known: set[str]) -> Entry:
    verdict = Verdict.KEPT if row["kept"] == "1" else Verdict.REJECTED
    texts = [text for text in row["reasons"].split("; ") if text]
    # What is not said by a rule or a selection is why the image could not be used at all.
    reasons = tuple(text if text.partition(":")[0] in known else f"{UNUSABLE}: {text}" for text in texts)
    scores = {rule: float(row[rule]) for rule in rules if row.get(rule)}
    return replace(entry, verdict=verdict, reasons=reasons, scores=scores)
