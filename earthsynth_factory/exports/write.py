"""Writes exports: each into a new folder that takes the place of an older one only when it is whole.

The mark in an export's folder says what it was made of, what was said of it, and which files it holds: an export that would
be the same again is left as it is, and one that holds files of others is not replaced.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory import __version__
from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import parsed, to_line
from earthsynth_factory.datasets.views import OfClasses, of_labels
from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.pairs import write_pairs
from earthsynth_factory.geometry.rle import RunLengthError
from earthsynth_factory.io.atomic import disk_error, sweep_folders, temporary_beside, write_json
from earthsynth_factory.io.bounded import read_bounded
from earthsynth_factory.io.claim import digest_of
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.lock import locked
from earthsynth_factory.io.own_files import FileNames, names_of, strangers

MARK = ".earthsynth-factory-export"
"""In the folder of every export: the next one may replace what has it, and nothing else."""


@dataclass(frozen=True)
class ExportMark:
    """digest: of all that decided the export. names: a digest of the names of its files, `count` of them."""

    digest: str
    count: int
    names: str
    summary: dict[str, Any]


def export(
    store: LabelledDataset,
    specs: Sequence[ExportSpec],
    out: Path,
    progress: Progress,
    held: bool = False,
    content: str | None = None,
) -> list[ExportSummary]:
    """Write each format to `out/<kind>`, as far as it is not there already. The masters are only read.

    held: whether the caller holds the lock of `out`. content: what `content_of` would say, if the caller knows better.
    Raises DiskError, StoreError, SourceError, and InputError as `check_targets`.
    """
    if not specs:
        return []
    check_targets(specs, out, store.root)
    with nullcontext() if held else locked(out, "export"):
        sweep_folders(out)
        views = [_narrowed(store, spec) for spec in specs]
        known = {view: content if content and view is store else content_of(view) for view in set(views)}
        digests = [
            digest_of(spec.model_dump(mode="json"), known[view], __version__)
            for view, spec in zip(views, specs, strict=True)
        ]
        triples = zip(views, specs, digests, strict=True)
        return [_export_one(view, spec, out / spec.kind, digest, progress) for view, spec, digest in triples]


def _narrowed(store: LabelledDataset, spec: ExportSpec) -> LabelledDataset:
    """The dataset with the classes that the block names, or its own labels' classes."""
    return OfClasses(store, spec.classes) if isinstance(spec.classes, tuple) else of_labels(store)


def check_targets(specs: Sequence[ExportSpec], out: Path, source: Path) -> None:
    """Raises InputError if a format would take the place of what no export wrote, or of the folder it is made from."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose a folder for --out")
    for target in (out / spec.kind for spec in specs):
        if source.resolve().is_relative_to(target.resolve()):
            raise InputError(f"{target}: is what the export would be made from; choose another --out")
        write_below(target, source if target.is_relative_to(source) else out)
        if not target.exists() or (target / MARK).is_file():
            continue
        if not target.is_dir() or any(target.iterdir()):
            raise InputError(f"{target}: holds what no export wrote; move it away or choose another --out")


def content_of(dataset: LabelledDataset) -> str:
    """A digest of a dataset's records and of the sizes and times of its files: it changes when an export of it would."""
    digest = hashlib.blake2b(digest_size=16)
    named = [dataset.name, dataset.version, sorted(dataset.targets), dataset.splits]
    digest.update(orjson.dumps([named, [asdict(category) for category in dataset.taxonomy]]))
    for record in dataset.samples():
        digest.update(to_line(record))
        digest.update(dataset.stamp(record).encode() + b"\n")
    return digest.hexdigest()


def _export_one(
    store: LabelledDataset, spec: ExportSpec, target: Path, digest: str, progress: Progress
) -> ExportSummary:
    mark = _read_mark(target)
    if mark is not None and mark.digest == digest:
        progress(sum(mark.summary["counts"].values()))
        return ExportSummary(**{**mark.summary, "notes": tuple(mark.summary["notes"])})
    if mark is not None and (strange := _strange(target, mark)):
        raise InputError(
            f"{target}: holds files that no export wrote ({strange}); move them away or choose another --out"
        )
    fresh = temporary_beside(target)
    try:
        fresh.mkdir(parents=True)
        summary = write_format(_narrowed(store, spec), spec, fresh, progress)
        names = names_of(fresh)
        write_json(fresh / MARK, asdict(ExportMark(digest, names.count, names.digest, asdict(summary))))
        _replace(target, fresh)
    except OSError as error:
        raise disk_error(target, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return summary


def write_format(store: LabelledDataset, spec: ExportSpec, folder: Path, progress: Progress) -> ExportSummary:
    """One format into `folder` itself. Raises SourceError if an object's run lengths are damaged, else as `export`."""
    try:
        summary = spec.write(store, folder, progress)
    except RunLengthError as error:
        raise SourceError(f"{store.root}: an object's {error}; prepare or build the dataset again") from error
    write_pairs(store, folder)
    return summary


def _replace(target: Path, fresh: Path) -> None:
    stale = temporary_beside(target)
    if target.exists():
        target.rename(stale)
    fresh.rename(target)
    shutil.rmtree(stale, ignore_errors=True)


def _read_mark(target: Path) -> ExportMark | None:
    """The mark; None if there is no export, or one that an earlier version or a killed run left without its facts."""
    try:
        mark = parsed(read_bounded(target / MARK), ExportMark)
        ExportSummary(**mark.summary)
        return mark
    except (OSError, ValueError, TypeError):
        return None


def _strange(target: Path, mark: ExportMark) -> str:
    """Some files that were put beside what the export wrote; empty if there are none."""
    return strangers(target, FileNames(mark.count, mark.names), target / MARK)
