"""The file of one split: what went wrong inside is what the caller sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.exports.coco_file import CocoFile


def test_a_fault_inside_is_not_hidden_by_closing(tmp_path: Path) -> None:
    path = tmp_path / "instances_train.json"
    with pytest.raises(LookupError, match="the cause"), CocoFile(path, {"info": {}}) as file:
        file._beside.close()  # joining the parts would now raise a ValueError of its own
        raise LookupError("the cause")
    assert not list(tmp_path.glob(".*.part"))
