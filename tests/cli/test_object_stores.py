"""Commands given what lies in an object store: those that read a dataset read it there, the others say that they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.io.mirror import Mirror
from earthsynth_factory.io.objects import ObjectAddress
from tests.build.building import RECIPE, run_build, write_recipe
from tests.cli.conftest import Run
from tests.io.stand_in_store import StandIn, store

__all__ = ["store"]

THERE = "s3://bucket/one"


@pytest.fixture
def there(store: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed build in the store; the working folder is empty."""
    run_build(write_recipe(tmp_path, RECIPE + "store: {pack: true}\n"), tmp_path / "one")
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            store.pipe_file(f"bucket/one/{path.relative_to(tmp_path / 'one').as_posix()}", path.read_bytes())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize(
    "words",
    [
        ("split", THERE),
        ("split", THERE, "--ratios", "0.5,0.5", "--out", "s3://bucket/made"),
        ("stats", THERE),
        ("preview", THERE, "--out", "sheet.png"),
        ("remake", THERE, "3"),
        ("export", THERE, "-f", "voc", "-o", "s3://bucket/made"),
    ],
    ids=lambda words: words[0],
)
def test_what_reads_a_dataset_reads_it_there(there: None, run: Run, words: tuple[str, ...]) -> None:
    code, _, said = run(*words)
    assert code == 0, said
    assert not list(Path().glob("s3*")), "no folder of that name is made"
    made = ObjectAddress.of("s3://bucket/made")
    assert made and ("s3://bucket/made" not in words or list(Mirror(made).listing()))


@pytest.mark.parametrize(
    "words",
    [
        ("pack", THERE),
        ("prepare", THERE, "--out", "made"),
        ("prepare", "../one", "--out", "s3://bucket/made", "--kind", "masks"),
        ("remake", THERE, "3", "--out", "s3://bucket/made"),
        ("preview", THERE, "--out", "s3://bucket/made/sheet.png"),
    ],
    ids=lambda words: f"{words[0]}{len(words)}",
)
def test_what_does_not_says_so_and_makes_no_folder_of_that_name(there: None, run: Run, words: tuple[str, ...]) -> None:
    code, _, said = run(*words)
    assert code == 2 and "lies in an object store" in " ".join(said.split()), said
    assert not list(Path().glob("s3*"))


def test_the_doctor_tells_of_copies_and_how_to_clear_them(there: None, run: Run, tmp_path: Path) -> None:
    assert "object stores" not in run("doctor")[1]
    assert run("status", THERE)[0] == 0
    said = " ".join(run("doctor")[1].split())
    assert "object stores: a copy, " in said and f"rm -r {tmp_path}/cache/earthsynth-factory/objects" in said


def test_a_build_is_not_prepared(there: None, run: Run) -> None:
    code, _, said = run("prepare", "../one", "--out", "made")
    assert code == 2 and "export ../one -f prepared -o DIR" in " ".join(said.split())
