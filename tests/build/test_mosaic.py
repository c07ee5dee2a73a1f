"""A whole area as one georeferenced picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from earthsynth_factory.build.mosaic import mosaic
from earthsynth_factory.cli import app
from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.recipe.load import load_recipe
from tests.conditions.vector.maps import TOWN

RECIPE = f"""
name: town
image: {{size: 64, metres_per_pixel: 4}}
categories: [{{name: building, count: 1}}]
conditions: [{{kind: vector, path: {TOWN}, ground: bare land}}]
synthesis: {{kind: fake}}
rfilter: {{rules: []}}
splits: {{train: 1.0}}
exports: []
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    pytest.importorskip("pyogrio", reason="vector files need pyogrio")
    path = tmp_path / "town.yaml"
    path.write_text(RECIPE)
    return path


def test_the_area_is_one_picture_on_the_ground(recipe: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["mosaic", str(recipe), "-o", str(tmp_path / "town.tif")])
    assert done.exit_code == 0, done.output
    with rasterio.open(tmp_path / "town.tif") as image, rasterio.open(tmp_path / "town_labels.tif") as labels:
        assert image.crs.to_epsg() == 32640 and image.transform == labels.transform and image.res == (4.0, 4.0)
        assert image.shape == labels.shape and image.tags()["DIGITAL_SOURCE_TYPE"].endswith("algorithmicMedia")
        mask = labels.read(1)
        assert {4, 6, 8} <= set(np.unique(mask).tolist())
        left, bottom, right, top = image.bounds
    assert 1900 < right - left < 2200 and 1500 < top - bottom < 1900


def test_what_cannot_be_drawn_is_said(recipe: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe)
    with pytest.raises(InputError, match=r"town\.tif"):
        mosaic(loaded, tmp_path / "town.png")
    with pytest.raises(SourceError, match="smaller `area`"):
        mosaic(loaded, tmp_path / "town.tif", metres_per_pixel=0.05)
    drawn = load_recipe(recipe, ["conditions=[{kind: procedural}]"])
    with pytest.raises(InputError, match="no source `kind: vector`"):
        mosaic(drawn, tmp_path / "town.tif")
