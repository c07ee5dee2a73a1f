"""The job of the authors' `test.py`: every class on every control image, n times."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image

from earthsynth_factory.datasets.build.reader import StoreReader
from tests.build.building import run_build, write_recipe

RECIPE = """
name: demo
image: {size: 64, metres_per_pixel: 0.5}
categories: [{name: storage tank, count: 6}, {name: plane, count: 6}]
conditions: [{kind: dataset, path: control, exact: true, relabel: true}]
synthesis: {kind: fake}
splits: {train: 1.0}
engine: {device: cpu}
"""


def test_every_class_meets_every_control_image_equally_often(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    for number in range(3):
        mask = np.zeros((64, 64, 3), np.uint8)
        mask[8 : 24 + 8 * number, 8:24] = 25  # raw ids in all three channels, as in the demo's control image
        PIL.Image.fromarray(mask).save(tmp_path / "control" / f"layout{number}.png")
    run_build(write_recipe(tmp_path, RECIPE), tmp_path / "out")
    made = Counter((record.category, record.instances[0].area) for record in StoreReader(tmp_path / "out").samples())
    assert made == {(category, 16 * height): 2 for category in (25, 16) for height in (16, 24, 32)}
