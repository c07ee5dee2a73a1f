"""What a dataset may be used for and whom to credit, as its own records say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.run_record import RunRecord, read_record
from earthsynth_factory.datasets.merged import Merged
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.errors import StoreError

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Terms:
    """licence: `unknown` if nothing is said. dense: every pixel was labelled, so that background is no "unknown"."""

    source: str
    licence: str
    credit: str
    dense: bool


def terms_of(dataset: LabelledDataset) -> Terms:
    """Raises StoreError if the records are damaged."""
    if isinstance(dataset, Merged):
        every = [terms_of(part) for part in dataset.parts]
        return Terms(
            _joined(terms.source for terms in every),
            _joined(terms.licence for terms in every),
            _joined(terms.credit for terms in every),
            all(terms.dense for terms in every),
        )
    base = getattr(dataset, "base", None)
    if base is not None:
        return terms_of(base)
    if isinstance(dataset, PreparedDataset):
        about = dataset.about
        return Terms(about.source, about.licence or UNKNOWN, about.credit, about.dense)
    return _of_build(read_record(BuildLayout(dataset.root).run))


def _of_build(run: RunRecord) -> Terms:
    licences = [run.line.licence, *run.line.licences]
    made = f"made by earthsynth-factory, recipe {run.name}, fingerprint {run.fingerprint}"
    return Terms(made, _joined(licences) or UNKNOWN, _joined(run.line.training_data), True)


def _joined(texts: Any) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: missing or damaged ({error})") from error
    return found if isinstance(found, dict) else {}
