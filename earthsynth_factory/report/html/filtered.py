"""What `filter` decided of a build or a prepared dataset, as the subject of a report."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.report.html.prepared import entry_of
from earthsynth_factory.report.html.subject import ALL, Entry, RuleFacts, Subject, Verdict
from earthsynth_factory.store.dataset import LabelledDataset

DECISION, SCORES = "filter.json", "scores.csv"
"""The two files of a filter's output that are read here."""

UNUSABLE = "unusable"


def read_decision(folder: Path) -> Mapping[str, Any]:
    """`filter.json`. Raises StoreError where it is damaged, InputError where its source is of a kind we cannot go through."""
    path = folder / DECISION
    try:
        found = orjson.loads(path.read_bytes())
        kind, source = found["kind"], found["source"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: damaged ({error}); run the same filter command again") from error
    if kind not in ("build", "prepared"):
        raise InputError(
            f"{path}: {source} is neither a build nor prepared data; bring it in with `earthsynth-factory prepare {source} "
            "--out DIR` and filter DIR, which then has a report"
        )
    return dict(found)


def subject_of_filter(folder: Path, decision: Mapping[str, Any], dataset: LabelledDataset) -> Subject:
    """decision: as `read_decision` gives it. dataset: its source. Raises StoreError where they do not fit together."""
    learnt = {"real": "percentiles of real images", "run": "percentiles within the run, for want of real images"}
    facts = [(name, str(decision.get(name, ""))) for name in ("recognised", "images", "kept")]
    facts.append(("thresholds from", learnt.get(str(decision.get("thresholds_from")), "unknown")))
    config = orjson.dumps(decision.get("config"), option=orjson.OPT_INDENT_2).decode()
    return Subject(
        name=f"{dataset.name}, filtered",
        lead="What the filter decided of these images. Nothing in their folder was changed.",
        taxonomy=dataset.taxonomy,
        splits=dataset.splits,
        entries=partial(_entries, folder, decision, dataset),
        rules={str(rule): _limits(dataset, least) for rule, least in decision.get("thresholds", {}).items()},
        making=[("Filter", [(name, text) for name, text in facts if text])],
        document=config,
    )


def _limits(dataset: LabelledDataset, least: Mapping[str, float]) -> RuleFacts:
    found = {ALL: float(least["all"])} if "all" in least else {}
    for name, value in least.items():
        category = dataset.taxonomy.find(name)
        if category is not None and name != "all":
            found[category.id] = float(value)
    return RuleFacts(found)


def _entries(folder: Path, decision: Mapping[str, Any], dataset: LabelledDataset) -> Iterator[Entry]:
    """Records and rows side by side; both are in the order of the folder."""
    rules = list(decision.get("thresholds", {}))
    path = folder / SCORES
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for record, row in zip_longest(dataset.samples(), csv.DictReader(file)):
                if record is None or row is None or row.get("id") != record.stem:
                    raise StoreError(f"{path}: {dataset.root} has other images now; run the same filter command again")
                yield _judged(entry_of(dataset, record), row, rules, set(decision.get("reasons", {})))
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(f"{path}: damaged ({error}); run the same filter command again") from error


def _judged(entry: Entry, row: Mapping[str, str], rules: list[str], known: set[str]) -> Entry:
    verdict = Verdict.KEPT if row["kept"] == "1" else Verdict.REJECTED
    texts = [text for text in row["reasons"].split("; ") if text]
    # What is not said by a rule or a selection is why the image could not be used at all.
    reasons = tuple(text if text.partition(":")[0] in known else f"{UNUSABLE}: {text}" for text in texts)
    scores = {rule: float(row[rule]) for rule in rules if row.get(rule)}
    return replace(entry, verdict=verdict, reasons=reasons, scores=scores)
