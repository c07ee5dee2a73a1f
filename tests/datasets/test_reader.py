"""What a reader says of folders that are none, or are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord, to_line
from earthsynth_factory.errors import SourceError, StoreError
from tests.making import make_store


def test_a_folder_that_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no run.json here; is it the output folder of a build\?"):
        _ = BuildReader(tmp_path).run


def test_a_damaged_run_record(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"name": ')
    with pytest.raises(StoreError, match=r"run.json: damaged"):
        _ = BuildReader(tmp_path).run


def test_records_come_back_equal(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for record in store.samples():
        assert to_line(SampleRecord.parse(to_line(record))) == to_line(record)


def test_a_torn_last_line_is_not_read(tmp_path: Path) -> None:
    store = _store(tmp_path)
    whole = len(list(store.samples()))
    journal = store.layout.present_shards()[-1].samples
    journal.write_bytes(journal.read_bytes()[:-5])
    assert len(list(store.samples())) == whole - 1


def test_a_line_of_something_else_is_named(tmp_path: Path) -> None:
    store = _store(tmp_path)
    journal = store.layout.present_shards()[0].samples
    journal.write_bytes(b'{"no": 1}\n' + journal.read_bytes())
    with pytest.raises(StoreError, match=r"samples.jsonl:1: damaged line .*move the shard's folder and its .json away"):
        list(store.samples())


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    store = _store(tmp_path)
    record = next(store.samples())
    path = store.image_file(record).path
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(SourceError, match=f"{path.name}: damaged or cut short.*run the same build command"):
        store.image(record)


def _store(folder: Path) -> BuildReader:
    made = make_store(folder, 6)
    return made if isinstance(made, BuildReader) else BuildReader(folder)
