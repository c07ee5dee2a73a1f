"""The file of one split: what went wrong inside is what the caller sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.exports.coco import _SplitFile
from earthsynth_factory.store.reader import StoreReader
from tests.making import make_store


def test_a_fault_inside_is_not_hidden_by_closing(tmp_path: Path) -> None:
    store = StoreReader(make_store(tmp_path / "store", 3))
    with pytest.raises(LookupError, match="the cause"), _SplitFile(tmp_path, "train", store) as file:
        file._beside.close()  # joining the parts would now raise a ValueError of its own
        raise LookupError("the cause")
    assert not list((tmp_path / "annotations").glob(".*.part"))
