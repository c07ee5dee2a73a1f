"""The training recipe, and the whole way from imported folders to cards on micro models."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from earthsynth_factory.errors import RecipeError, SourceError
from earthsynth_factory.models.segmenter import Segmenter
from research.embedded.crops import CropPlan, cut_dataset
from research.embedded.recipe import load_recipe

RECIPE = Path(__file__).parents[3] / "recipes" / "train_embedded.yaml"

MICRO = """
size: 64
data:
  sources:
    land: {per_category: 4, min_side: 64, max_side: 96, pool: 6}
    tanks: {per_category: 4, min_side: 64, max_side: 96, things_only: true, pool: 6}
presets:
  cpu:
    threads: 1
    autoencoder: {channels: [16, 16, 32, 48], latent_channels: 4}
    denoiser:
      channels: [16, 32]
      attention: [false, true]
      condition_channels: [4, 4, 8, 8]
      text_width: 32
      text_layers: 1
    decoder: {seconds: 0.5, batch: 2}
    flow: {seconds: 0.5, batch: 2}
    few_steps: {seconds: 0.5, pair_seconds: 0.1, pair_batch: 2, pair_steps: 2, batch: 3}
    clip: {size: 32, width: 8, embed: 16, text_width: 32, text_layers: 1, batch: 4, steps: 1}
    segmenter: {steps: 1, batch: 2, widths: [4, 8]}
"""


def _dataset(folder: Path, dense: bool) -> None:
    for name in ("images", "masks", "instances"):
        (folder / name).mkdir()
    random = np.random.default_rng(5)
    items = {}
    for number in range(2):
        cv2.imwrite(str(folder / "images" / f"s{number}.png"), random.integers(0, 255, (120, 120, 3)).astype(np.uint8))
        mask = np.full((120, 120), 1 if dense else 0, np.uint8)
        mask[40:80, 40:80] = 6 if dense else 25
        cv2.imwrite(str(folder / "masks" / f"s{number}.png"), mask)
        if not dense:
            cv2.imwrite(str(folder / "instances" / f"s{number}.png"), (mask == 25).astype(np.uint16))
        items[f"s{number}"] = {"group": f"g{number}", "split": "test" if number else "train", "metres_per_pixel": 0.5}
    about = {"format": "earthsynth-factory/dataset", "version": 1, "name": folder.name, "dense": dense, "items": items}
    classes = {"1": "bare land", "6": "water"} if dense else {"25": "storage tank"}
    (folder / "dataset.json").write_text(json.dumps({**about, "classes": classes}))


@pytest.fixture
def datasets(tmp_path: Path) -> Path:
    folder = tmp_path / "datasets"
    for name, dense in (("land", True), ("tanks", False)):
        (folder / name).mkdir(parents=True)
        _dataset(folder / name, dense)
    return folder


def test_the_shipped_recipe_is_valid_and_has_both_presets() -> None:
    assert set(load_recipe(RECIPE).presets) == {"cpu", "gpu"}


def test_every_fault_of_a_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(MICRO.replace("size: 64", "size: 65", 1).replace("threads", "treads"))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert any("size: 65 → must be a multiple of 16" in fault for fault in caught.value.faults)
    assert any("presets.cpu.treads → unknown key; did you mean 'threads'?" in fault for fault in caught.value.faults)


def test_crops_hold_the_category_they_were_drawn_for(datasets: Path) -> None:
    crops = cut_dataset(datasets / "land", "train", CropPlan(5, 64, 96), 64, 1)
    assert np.bincount(crops.focus)[[1, 6]].tolist() == [5, 5]
    assert all((mask == focus).any() for mask, focus in zip(crops.masks, crops.focus, strict=True))
    assert (crops.metres_per_pixel >= 0.5).all()
    assert (crops.metres_per_pixel <= 0.75).all()


def test_a_folder_that_was_not_imported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no dataset\.json"):
        cut_dataset(tmp_path, "train", CropPlan(1, 64, 64), 64, 1)


@pytest.mark.slow
def test_the_command_trains_exports_and_writes_cards(datasets: Path, tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text(MICRO)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "research.embedded", str(tmp_path / "train.yaml")]
    done = subprocess.run(
        [*command, "--datasets", str(datasets), "--out", str(out)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == str(out / "embedded")
    assert (out / "embedded" / "pipeline" / "model_index.json").is_file()
    assert re.search(r"- few_steps: \d+ steps of 3, ", (out / "embedded" / "pipeline" / "card.md").read_text())
    assert "zero-shot top-1" in (out / "embedded" / "clip" / "card.md").read_text()
    card = (out / "embedded" / "segmenter" / "card.md").read_text()
    assert "- segmenter: 1 steps of 2 crops" in card
    assert "| storage tank | " in card
    assert Segmenter.load(out / "embedded" / "segmenter").categories == (0, 1, 6, 25)
