"""What is looked at before a dataset is exported, many images at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.datasets.build import completeness
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import SourceError
from tests.build.building import run_build, write_recipe


@pytest.fixture
def store(tmp_path: Path) -> BuildReader:
    run_build(write_recipe(tmp_path), tmp_path / "out")
    return BuildReader(tmp_path / "out")


@pytest.mark.parametrize("together", [1, 5, 64])
def test_an_object_whose_run_lengths_are_none_is_named_with_its_image(
    store: BuildReader, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completeness, "TOGETHER", together)
    assert completeness.check_masters(store) == 32
    bad = [record for record in store.samples() if record.instances][5]
    journal = store.shard_of(bad).samples
    rle = bad.instances[0].rle.encode()
    journal.write_bytes(journal.read_bytes().replace(b'"' + rle + b'"', b'"' + rle[:-2] + b'"'))
    with pytest.raises(SourceError, match=f"{bad.stem}: run lengths .*; prepare or build it again"):
        completeness.check_masters(store)


def test_missing_images_are_counted_and_some_named(store: BuildReader) -> None:
    gone = [store.image_file(record).path for record in list(store.samples())[3:10]]
    for path in gone:
        path.unlink()
    with pytest.raises(SourceError, match=r"7 of 32 images are missing") as found:
        completeness.check_masters(store)
    assert all(str(path) in str(found.value) for path in gone[:5])
    assert "and 2 more" in str(found.value)
