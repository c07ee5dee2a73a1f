"""Any folder of labelled images that we can read as it is: a build's output, or a prepared dataset."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.prepared.document import is_prepared
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.objects import local


def is_dataset(path: Path) -> bool:
    """Whether `open_dataset` reads the folder."""
    return is_prepared(path) or BuildLayout(path).run.is_file()


def open_dataset(path: Path) -> LabelledDataset:
    """Raises `StoreError` if the folder is neither, `SourceError` if it is damaged, InputError if it lies in an object
    store."""
    if is_prepared(local(path)):
        return PreparedDataset(path)
    if BuildLayout(path).run.is_file():
        return BuildReader(path)
    raise StoreError(
        f"{path}: neither the output of a build (run.json) nor a prepared dataset (dataset.json); "
        f"bring other data in with `earthsynth-factory prepare {path} --out DIR`"
    )
