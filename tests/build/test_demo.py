"""The job of the authors' `test.py`: every class on every control image, n times."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import StableDiffusionControlNetPipeline, UniPCMultistepScheduler

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.recipe.load import load_recipe
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

LISTED = """
name: demo
seed: 3
image: {size: 64, metres_per_pixel: 0.5}
categories: {file: class.txt, per_mask: 2}
conditions: [{kind: dataset, path: control, exact: true, relabel: true}]
synthesis: {model: MODEL, steps: 3, guidance: 7.5, scheduler: unipc, control_scale: 1.0, batch: 4, precision: float32}
rfilter: {candidates: 1, max_attempts: 1, rules: []}
splits: {train: 1.0}
exports: []
engine: {device: cpu}
"""


def controls(folder: Path, count: int) -> list[Path]:
    """Control images as the authors': raw ids in all three channels."""
    folder.mkdir()
    paths = [folder / f"layout{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        mask = np.zeros((64, 64, 3), np.uint8)
        mask[8 : 24 + 8 * number, 8:24] = 25
        PIL.Image.fromarray(mask).save(path)
    return paths


def test_every_class_meets_every_control_image_equally_often(tmp_path: Path) -> None:
    controls(tmp_path / "control", 3)
    run_build(write_recipe(tmp_path, RECIPE), tmp_path / "out")
    made = Counter((record.category, record.instances[0].area) for record in BuildReader(tmp_path / "out").samples())
    assert made == {(category, 16 * height): 2 for category in (25, 16) for height in (16, 24, 32)}


def test_images_are_those_of_the_plain_loop_for_every_class(tiny_pipeline: Path, tmp_path: Path) -> None:
    paths = controls(tmp_path / "control", 2)
    (tmp_path / "class.txt").write_text("storage tank\nplane\n\nship\n")
    result = run_build(write_recipe(tmp_path, LISTED.replace("MODEL", str(tiny_pipeline))), tmp_path / "out")
    store = BuildReader(result.out)
    made = list(store.samples())
    assert Counter(record.category for record in made) == {25: 4, 16: 4, 17: 4}  # per_mask × control images
    pipe = StableDiffusionControlNetPipeline.from_pretrained(tiny_pipeline, safety_checker=None)
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    for record in made[:6]:
        path = next(one for one in paths if one.stem == record.origin.detail["mask"])
        plain = pipe(
            f"A satellite image of {store.taxonomy[record.category or 0].words}",
            image=PIL.Image.open(path),
            num_inference_steps=3,
            generator=torch.Generator().manual_seed(record.image_seed),
            output_type="np",
        ).images[0]
        assert np.abs(plain * 255 - store.image(record)).max() <= 1.5  # within 1/255, and the rounding to bytes
        assert set(np.unique(store.mask(record))) == {0, record.category}


def test_the_model_may_be_shown_the_class_that_was_asked_for(tiny_pipeline: Path, tmp_path: Path) -> None:
    controls(tmp_path / "control", 1)
    (tmp_path / "class.txt").write_text("storage tank\nplane\n")
    recipe = write_recipe(tmp_path, LISTED.replace("MODEL", str(tiny_pipeline)))
    shown = {}
    for name, changes in (("file", []), ("asked", ["conditions.0.relabel_control=true"])):
        run_build(recipe, tmp_path / name, *changes)
        store = BuildReader(tmp_path / name)
        shown[name] = {record.slot: (record.category, store.image(record)) for record in store.samples()}
    for slot, (category, image) in shown["file"].items():
        assert np.array_equal(image, shown["asked"][slot][1]) == (category == 25)


def test_a_class_list_is_refused_with_the_line_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "class.txt").write_text("ship\nstorage tenk\n")
    with pytest.raises(RecipeError, match=r"class\.txt:2:1: categories\.1\.name: 'storage tenk' → unknown category"):
        load_recipe(write_recipe(tmp_path, LISTED))
    with pytest.raises(RecipeError) as caught:
        load_recipe(write_recipe(tmp_path, LISTED.replace("file: class.txt, per_mask: 2", "file: none.txt, per: 2")))
    told = "\n".join(caught.value.faults)
    assert "categories.per → unknown key; known here: file, per_mask, count" in told
    assert "none.txt: cannot be read (No such file or directory); it has a class a line" in told
