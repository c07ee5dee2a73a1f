"""Names that are one plain part, and places that no link leads to."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.errors import SourceError, StoreError
from earthsynth_factory.io.gates import is_plain, read_below, write_below
from earthsynth_factory.io.printable import one_line, printable
from earthsynth_factory.io.tables import cell, uncell


@pytest.mark.parametrize("name", ["a", "a b.png", "scene 1_é", ".hidden", "2020-01-01T12:00", "a..b", "-x"])
def test_plain_names(name: str) -> None:
    assert is_plain(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "/a",
        "a\\b",
        "C:x",
        "C:\\x",
        "a\0",
        "a\nb",
        "a\x1b[2J",
        "x" * 201,
        "é" * 101,
        "a/",
        "\ud800",
    ],
)
def test_names_that_are_none(name: str) -> None:
    assert not is_plain(name)


def test_reading_and_writing_stay_below(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (root / "inner/file").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"")
    (root / "out").symlink_to(tmp_path)
    (root / "there").symlink_to("inner/file")
    assert read_below(root / "inner/file", root) == root / "inner/file"
    assert read_below(root / "there", root) == root / "there", "a link within the dataset"
    for path in (root / "out/secret", root / "nothing", root / "inner"):
        with pytest.raises(SourceError):
            read_below(path, root)
    assert write_below(root / "inner/new", root) == root / "inner/new"
    for path in (root / "out/new", root / "there"):
        with pytest.raises(StoreError, match="is a link, and nothing is written through links"):
            write_below(path, root)


def test_names_are_shown_not_obeyed() -> None:
    assert printable("a\x1b[2J\r\x07\u202eb\n\tc") == "a\\x1b[2J\\r\\x07\\u202eb\n\tc"
    assert one_line("a\nb") == "a\\nb"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "a", "'=x", ""])
def test_cells_come_back(text: str) -> None:
    assert str(cell(text))[:1] not in ("=", "+", "-", "@")
    assert uncell(str(cell(text))) == (text if text != "'=x" else "=x")
    assert cell(-1.5) == -1.5
