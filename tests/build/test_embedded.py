"""The line on the models that ship: a true diffusion model and a true CLIP, with every rule."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.models.card import read_card
from earthsynth_factory.models.weights import EMBEDDED
from tests.build.building import run_build, tree_hash, write_recipe

RECIPE = """
name: embedded
seed: 2
image: {size: 128, metres_per_pixel: 0.8}
categories:
  - {name: storage tank, count: 2, instances: 2..6}
  - {name: water, count: 1}
conditions: [{kind: procedural, background: sparse}]
synthesis: {model: embedded, steps: 2, batch: 2}
rfilter:
  candidates: 2
  max_attempts: 4
  rules:
    - image_quality
    - {kind: clip_score, min_margin: -2, rank: 1}
    - {kind: instance_class, min_share: 0, rank: 1}
splits: {train: 1.0}
engine: {device: cpu}
"""


def test_the_line_runs_on_the_embedded_models_and_repeats_itself(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, RECIPE)
    assert run_build(recipe, tmp_path / "one").accepted == 3
    run_build(recipe, tmp_path / "two")
    assert tree_hash(tmp_path / "one") == tree_hash(tmp_path / "two")
    store = BuildReader(tmp_path / "one")
    for record in store.samples():
        assert store.image(record).std() > 5
        assert set(record.scores) == {"image_quality", "clip_score", "instance_class"}
        assert record.prompt.endswith("0.8 m"), "the embedded model is told the scale"
    identity = store.run.identity
    assert "base/unet/diffusion_pytorch_model.safetensors" in identity["synthesis"]
    assert (
        identity["rfilter"][1]["open_clip_model.safetensors"] == identity["rfilter"][2]["open_clip_model.safetensors"]
    )


def test_what_ships_is_within_the_size_of_a_wheel() -> None:
    total = sum(path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file())
    assert total < 60e6
    card = read_card(EMBEDDED / "pipeline")
    assert card is not None
    assert card.control == "palette"
    assert not list(EMBEDDED.rglob("*.bin"))
