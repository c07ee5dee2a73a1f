"""Small stores do what lists, dictionaries and sets do."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.io import compact
from earthsynth_factory.io.compact import FileSet, Places, Texts


def test_places_are_a_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "MERGED_AT", 7)
    names = [f"image {number}" for number in range(100)]
    places = Places(names)
    assert len(places) == 100 and [places.get(name) for name in names] == list(range(100))
    assert "image 100" not in places and places.get("image") is None
    places.add("image 3", 1000)
    assert places.get("image 3") == 3 and len(places) == 100, "the first one stays"
    places.add(b"\0\0", 5)
    assert b"\0\0" in places and b"\0" not in places


def test_a_digest_that_ends_in_zeros_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy takes them away from its texts."""
    monkeypatch.setattr(compact, "MERGED_AT", 2)
    monkeypatch.setattr(compact, "_digest", lambda key: bytes(key).ljust(compact.DIGEST, b"\0"))
    places = Places([b"\1", b"\1\2", b"", b"\3"])
    assert [places.get(key) for key in (b"\1", b"\1\2", b"", b"\3", b"\4")] == [0, 1, 2, 3, None]


def test_texts_are_a_list() -> None:
    words = ["", "a", "größer", "\udcff", "x" * 300]
    texts = Texts(words)
    assert list(texts) == words and texts[-1] == words[-1] and texts[1:3] == words[1:3] and len(texts) == 5
    with pytest.raises(IndexError):
        texts[5]


def test_files_are_a_set() -> None:
    files = FileSet([Path("a/b"), Path("a/b"), Path("c")])
    assert len(files) == 2 and Path("a/b") in files and Path("b") not in files and None not in files
