"""What `filter` decided of a folder of images, as the subject of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import parsed
from earthsynth_factory.datasets.decisions import DECISIONS, Decision
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.bounded import read_bounded
from earthsynth_factory.io.jsonl import records
from earthsynth_factory.report.html.model import ALL, NOTHING, ReportImage, RuleFacts, Subject
from earthsynth_factory.report.html.prepared import entry_of

DECISION = "filter.json"
"""What was asked and found, as a whole."""

REMEDY = "run the same filter command again"


@dataclass(frozen=True)
class FilteredSource:
    """The images that were filtered. entries: all of them in the order of the folder, each as if it were kept; one without
    a group is counted under the class that the filter judged it by. absent: as a subject has it.
    """

    name: str
    taxonomy: Taxonomy
    splits: Sequence[str]
    entries: Callable[[], Iterator[ReportImage]]
    absent: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: LabelledDataset) -> FilteredSource:
        """A build or a prepared dataset."""

        def entries() -> Iterator[ReportImage]:
            return (entry_of(dataset, record) for record in dataset.samples())

        return cls(dataset.name, dataset.taxonomy, dataset.splits, entries)


class Facts(BaseModel):
    """What a report needs of `filter.json`. thresholds: rule → class name or `all` → least value."""

    model_config = ConfigDict(extra="allow")
    kind: str
    source: str
    map: str | None = None
    thresholds: dict[str, dict[str, float]] = {}


def read_decision(folder: Path) -> Mapping[str, Any]:
    """`filter.json`. Raises StoreError if it is damaged."""
    path = folder / DECISION
    try:
        return parsed(read_bounded(path), Facts).model_dump()
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: damaged ({error}); {REMEDY}") from error


def subject_of_filter(folder: Path, decision: Mapping[str, Any], source: FilteredSource) -> Subject:
    """decision: as `read_decision` gives it. source: of the decision. Raises StoreError if they do not fit together."""
    learnt = {
        "real": "percentiles of real images",
        "shipped": "those that ship, which real images gave",
        "run": "percentiles within the run, without real images",
    }
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


def _entries(folder: Path, decision: Mapping[str, Any], source: FilteredSource) -> Iterator[ReportImage]:
    """Records and decisions side by side; both are in the order of the folder."""
    path = folder / DECISIONS
    for entry, decided in zip_longest(source.entries(), records(path, Decision.parse, REMEDY)):
        if entry is None or decided is None or decided.name != entry.name:
            raise StoreError(f"{path}: {decision['source']} has other images now; {REMEDY}")
        if not entry.groups:
            category = source.taxonomy.find(decided.category)
            entry = replace(entry, groups=(category.id if category else NOTHING,))
        yield replace(entry, outcome=decided.outcome, reasons=decided.reasons, scores=decided.scores)
