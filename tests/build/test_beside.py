"""A build with all that a recipe may put beside a model: alike twice, told in its card, made again image by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from earthsynth_factory.build.preflight import check
from earthsynth_factory.build.remake import remake
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import RecipeError, StoreError
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import run_build, tree_hash, write_recipe
from tests.models.loras import peft, random_halves
from tests.tiny_models import make_pipeline

RECIPE = """
name: beside
seed: 3
image: {size: 64, metres_per_pixel: 0.8}
categories:
  - {name: storage tank, count: 2, negative_prompt: "boats"}
  - {name: water, count: 1}
prompts:
  templates: ["{season} image of {classes}", "{classes} in {season}"]
  words: {season: [summer, winter]}
  classes: {storage tank: [tank, silo]}
conditions: [{kind: procedural, background: sparse}]
synthesis:
  model: PIPELINE
  scheduler: lcm
  steps: 2
  guidance: 1.5
  batch: 2
  loras: [{path: mine.safetensors, weight: 0.5}]
  controls:
    - {controlnet: PIPELINE/controlnet, shows: edges, weight: 0.5, end: 0.5}
    - {controlnet: PIPELINE/controlnet, shows: depth, heights: {storage tank: 12}}
rfilter: {rules: []}
splits: {train: 1.0}
exports: [coco]
engine: {device: cpu}
"""


@pytest.fixture
def recipe(tiny_pipeline: Path, tmp_path: Path) -> Path:
    peft(random_halves(make_pipeline(tmp_path / "words")), tmp_path / "mine.safetensors")
    return write_recipe(tmp_path, RECIPE.replace("PIPELINE", str(tiny_pipeline)))


def test_it_repeats_itself_is_told_and_can_be_made_again(recipe: Path, tmp_path: Path) -> None:
    assert run_build(recipe, tmp_path / "one").accepted == 3
    run_build(recipe, tmp_path / "two")
    assert tree_hash(tmp_path / "one") == tree_hash(tmp_path / "two")
    store = BuildReader(tmp_path / "one")
    prompts = {record.prompt for record in store.samples()}
    assert all("summer" in prompt or "winter" in prompt for prompt in prompts)
    card = (tmp_path / "one/README.md").read_text()
    for line in (
        "- scheduler: LCMScheduler",
        "- loras: mine × 0.5",
        "- prompts drawn from: 2 templates; words for season; several words for storage tank",
        "- negative prompt of storage tank: boats",
        "- Beside it: LoRAs mine × 0.5; licence and training data unknown",
        "controlnet, shown edges, × 0.5 until 0.5 of the steps; ",
    ):
        assert line in card, line
    made = remake(tmp_path / "one", 1, None, tmp_path, "cpu", tmp_path / "again")
    with PIL.Image.open(made.image) as again:
        assert np.array_equal(np.asarray(again), store.image(next(r for r in store.samples() if r.slot == 1)))
    peft(random_halves(make_pipeline(tmp_path / "words"), ("unet",)), tmp_path / "mine.safetensors")
    with pytest.raises(StoreError, match=r"identity\.synthesis\.lora/0 mine"):
        run_build(recipe, tmp_path / "one")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("synthesis.controls=[{controlnet: x, shows: depth, heights: {castle: 3}}]", "castle"),
        ("synthesis.controls=[{controlnet: x, shows: depth}]", "say under `heights` how high classes are"),
        ("synthesis.controls=[{controlnet: x, heights: {ship: 3}}]", "`heights` are for `shows: depth`"),
        ("prompts.classes={castle: [a castle]}", "castle"),
        ("prompts.templates=[no field]", "write {classes} where the classes are to stand"),
        ("synthesis.loras=[{path: not/there.safetensors}]", "lora 'not/there.safetensors': no such folder"),
        ("synthesis.vae=not/a/vae", "vae 'not/a/vae': no such folder"),
        ("synthesis.scheduler=dpm", "euler"),
        ("synthesis.steps=60", "lcm takes up to 50 steps, not 60"),
    ],
)
def test_what_is_wrong_is_said_at_validation(recipe: Path, change: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        check(load_recipe(recipe, [change]))
    assert words in str(caught.value)


def test_what_is_of_no_use_is_said(recipe: Path) -> None:
    warnings = "\n".join(check(load_recipe(recipe, ["synthesis.guidance=1", "synthesis.loras=[]"])))
    assert "lcm draws in few steps with weights distilled for it alone" in warnings
    assert "does nothing without guidance" in warnings
