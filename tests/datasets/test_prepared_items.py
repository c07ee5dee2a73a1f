"""The items of dataset.json: found in the file, read when asked for, whatever form the document has."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest

from earthsynth_factory.datasets.prepared import items as module
from earthsynth_factory.datasets.prepared.document import DatasetFile, read_about
from earthsynth_factory.errors import SourceError

FACTS: dict[str, Any] = {
    "format": "earthsynth-factory/dataset",
    "version": 1,
    "name": "n",
    "classes": {"8": "building"},
}
ITEMS: dict[str, Any] = {
    "a": {"group": "g", "split": "val", "size": [4, 5], "categories": [8]},
    'quo"te {': {
        "group": "}{",
        "pair": {"role": "with", "partner": 3, "object": 1, "category": 8, "box": [0, 0, 1, 1]},
    },
    "é": {"group": "", "corner": [1, 2]},
}


def about(folder: Path, data: bytes) -> DatasetFile:
    (folder / "dataset.json").write_bytes(data)
    found = read_about(folder)
    assert found is not None
    return found


@pytest.mark.parametrize("chunk", [7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [0, orjson.OPT_INDENT_2])
@pytest.mark.parametrize("first", [True, False])
def test_every_form_of_the_document(
    chunk: int, indent: int, first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    some = {stem: item for stem, item in ITEMS.items() if "pair" not in item}
    document = {"items": some, **FACTS} if first else {**FACTS, "items": some}
    found = about(tmp_path, orjson.dumps(document, option=indent or None))
    assert list(found.items) == list(some)
    assert [item.group for item in found.items.values()] == ["g", ""]
    assert {stem: item.corner for stem, item in found.items.items()} == {"a": None, "é": (1, 2)}
    assert found.items["a"].size == (4, 5)
    assert "b" not in found.items
    assert found.items.get("b") is None
    again = pickle.loads(pickle.dumps(found))  # noqa: S301
    assert again.items["é"] == found.items["é"]


BROKEN = {
    b'{"items":{"a":{"group":"g"},"a":{"group":"h"}},': "items.a: stands there twice",
    b'{"items":{"a":{"group":"g"}"b":{"group":"h"}},': "no entry of an item",
    b'{"items":{,"a":{"group":"g"}},': "no entry of an item",
    b'{"items":{"a":{"group":"g"},},': "no entry of an item",
    b'{"items":{"a":5},': "no entry of an item",
    b'{"items":{"../a":{"group":"g"}},': "items:",
    b'{"items":{"a":{"group":"g","size":[0,1]}},': "items.a.size.0",
    b'{"items":[],': "one block of items",
    b'{"items":{},"items":{"a":{"group":"g"}},': "one block of items",
    b"{": "one block of items",
    b'{"items":{"a":{"group":"g"}': "no entry of an item",
}


@pytest.mark.parametrize("head", BROKEN)
def test_what_is_wrong_is_named(head: bytes, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        about(tmp_path, head + orjson.dumps(FACTS)[1:])
    assert BROKEN[head] in str(caught.value)
    assert "dataset.json" in str(caught.value)


def test_a_file_that_changed_since_is_said(tmp_path: Path) -> None:
    found = about(tmp_path, orjson.dumps({**FACTS, "items": {"a": {"group": "g"}}}))
    (tmp_path / "dataset.json").write_bytes(b"{}" * 200)
    with pytest.raises(SourceError, match="was changed while it was read"):
        found.items["a"]


def test_an_item_takes_some_tens_of_bytes(tmp_path: Path) -> None:
    count = 20_000
    many = {
        f"image-{number:09}": {"group": f"g{number}", "size": [512, 512], "categories": [8]} for number in range(count)
    }
    data = orjson.dumps({**FACTS, "items": many})
    del many
    (tmp_path / "dataset.json").write_bytes(data)
    tracemalloc.start()
    found = read_about(tmp_path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert len(found.items) == count
    assert held < 100 * count
