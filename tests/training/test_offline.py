"""A training without a network: what the error advises works when it is followed to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from huggingface_hub import constants

from earthsynth_factory.errors import ModelError
from earthsynth_factory.recipe.load import load_block
from earthsynth_factory.training.controlnet.base_model import load_base
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe

RECIPES = Path(__file__).parents[2] / "recipes"


def recipe_of(*changes: str) -> ControlNetRecipe:
    return load_block(RECIPES / "train_earthsynth.yaml", lambda _: ControlNetRecipe, changes)


def test_offline_advice_works_when_it_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    recipe = recipe_of()
    with pytest.raises(ModelError, match="this program is offline") as refused:
        load_base(recipe.model, recipe.size, tmp_path, 1)
    advice = str(refused.value).partition("in one of a training")[2]
    changes = [change.replace(": ", "=", 1) for change in re.findall(r"`([^`]+)`", advice)]
    assert [change.partition("=")[0] for change in changes] == ["model", "size"]
    followed = recipe_of(*changes)
    base = load_base(followed.model, followed.size, tmp_path, 1)
    assert base.card.native_size == followed.size
