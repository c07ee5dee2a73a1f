"""A collage is the picture that the source put together, and says so if there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import RecipeError, SourceError
from earthsynth_factory.recipe.load import load_recipe
from earthsynth_factory.synthesis.collage import CollageSpec

RECIPE = """
name: collage
image: {size: 64}
categories: [{name: small vehicle, count: 1}]
conditions: [{kind: compose, path: masks, pictures: true}, {kind: procedural}]
synthesis: {kind: collage}
"""


def _condition(picture: np.ndarray | None) -> Condition:
    mask, none = np.full((8, 8), 1, np.uint8), np.zeros((8, 8), np.uint16)
    changed = None if picture is None else np.zeros((8, 8), bool)
    return Condition(mask, none, "", 1.0, 0, Origin("compose:x", "g"), picture=picture, changed=changed)


def test_the_picture_is_the_image() -> None:
    generator = CollageSpec(kind="collage").build(StageContext(earthsynth(), (), Path(), "auto"))
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    generator.open()
    [image] = generator.generate([_condition(picture)], [0])
    np.testing.assert_array_equal(image, picture)
    with pytest.raises(SourceError, match="compose:x: gives masks without pictures; set `pictures: true`"):
        generator.generate([_condition(None)], [0])


def test_a_recipe_whose_source_has_no_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    with pytest.raises(RecipeError, match=r"recipe.yaml:5:\d+: conditions.1.*gives masks without pictures"):
        load_recipe(path)


def test_a_condition_has_a_picture_with_its_map_or_neither() -> None:
    mask, none, origin = np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint16), Origin("x", "g")
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="comes with the map"):
        Condition(mask, none, "", 1.0, 0, origin, picture=picture)
    with pytest.raises(ValueError, match="picture must be"):
        Condition(mask, none, "", 1.0, 0, origin, picture=picture[:2], changed=np.zeros((4, 4), bool))
    with pytest.raises(ValueError, match="changed must be"):
        Condition(mask, none, "", 1.0, 0, origin, picture=picture, changed=np.zeros((4, 4), np.uint8))
