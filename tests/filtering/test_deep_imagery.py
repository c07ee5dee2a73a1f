"""Images of more than eight bits are judged as the pictures that `prepare` would make of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from earthsynth_factory.filtering.sources import open_folder
from tests.importers.layouts import H, W, put, text
from tests.importers.test_layouts import coco


def test_one_stretch_is_settled_for_the_folder_and_kept(tmp_path: Path) -> None:
    values = np.linspace(0, 4000, H * W * 3).reshape(H, W, 3).astype(np.uint16)
    put(tmp_path / "in" / "images" / "a.png", values)
    images = [{"id": 1, "file_name": "a.png", "height": H, "width": W}]
    text(tmp_path / "in" / "ann.json", json.dumps(coco(images=images)))
    for workspace in ("usual", "asked"):
        (tmp_path / workspace).mkdir()
    usual = open_folder(tmp_path / "in", tmp_path / "usual").entries[0].load().image
    assert usual.dtype == np.uint8
    assert (usual.min(), usual.max()) == (0, 255)
    asked = open_folder(tmp_path / "in", tmp_path / "asked", stretch="0,1000").entries[0].load().image
    assert np.mean(asked == 255) > 0.7
    again = open_folder(tmp_path / "in", tmp_path / "asked").entries[0].load().image
    np.testing.assert_array_equal(asked, again)
