"""What a training says when it starts or goes on: processes, weights that changed, seeds, trackers that want a login."""

from __future__ import annotations

import shutil
import sys
import types
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from earthsynth_factory.errors import ModelError, StoreError
from earthsynth_factory.training.controlnet.base_model import load_base
from earthsynth_factory.training.controlnet.reporting import open_trackers
from earthsynth_factory.training.controlnet.run import team_note, train_controlnet
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe
from tests.tiny_models import make_xl_pipeline
from tests.training.controlnet_runs import recipe_of
from tests.training.scenes import write_layout


@pytest.fixture(scope="module")
def begun(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `base`, `data` and a run of one step in `run`."""
    folder = tmp_path_factory.mktemp("begun")
    shutil.copytree(tiny_pipeline, folder / "base")
    write_layout(folder / "data")
    train_controlnet(recipe(folder, steps=1), folder, folder / "run")
    return folder


def recipe(folder: Path, steps: int) -> ControlNetRecipe:
    return recipe_of(folder / "base", folder / "data", optim={"steps": steps})


def test_processes_are_told() -> None:
    given = recipe_of(Path("base"), Path("data"), optim={"batch": 3, "accumulate": 2})
    assert team_note(given, 1) == "1 process, 6 samples a step"
    assert team_note(given, 2) == "2 processes, 12 samples a step"


def test_another_seed_alone_is_named(begun: Path) -> None:
    """It chooses what is held out, so the data's digest says nothing beside it."""
    with pytest.raises(StoreError) as caught:
        train_controlnet(recipe(begun, 2).model_copy(update={"seed": 5}), begun, begun / "run", resume=True)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == ["seed: 3 there, 5 now"]


def test_other_frozen_weights_are_named(begun: Path) -> None:
    path = begun / "base/unet/diffusion_pytorch_model.safetensors"
    before, weights = path.read_bytes(), load_file(path)
    save_file({**weights, "conv_in.bias": weights["conv_in.bias"] + 1}, path, metadata={"format": "pt"})
    try:
        with pytest.raises(StoreError, match=r"base\.unet: '\w+' there, '\w+' now"):
            train_controlnet(recipe(begun, 2), begun, begun / "run", resume=True)
    finally:
        path.write_bytes(before)


def test_a_base_with_nan_is_refused_before_anything_is_learnt(begun: Path, tmp_path: Path) -> None:
    shutil.copytree(begun / "base", tmp_path / "base")
    path = tmp_path / "base/unet/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["conv_in.weight"].fill_(float("nan"))
    save_file(weights, path, metadata={"format": "pt"})
    given = recipe_of(tmp_path / "base", begun / "data")
    with pytest.raises(ModelError, match=r"base/unet: conv_in\.weight holds NaN"):
        train_controlnet(given, begun, tmp_path / "run")
    assert not (tmp_path / "run/model").exists()


def test_a_tracker_that_wants_a_login_costs_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("wandb")

    def init(**knobs: object) -> None:
        raise RuntimeError("No API key configured. Use `wandb login`")

    fake.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setitem(sys.modules, "trackio", None)
    sinks, notes = open_trackers(["wandb", "trackio"], tmp_path, "run")
    assert sinks == []
    assert notes[0].startswith("wandb cannot be used (No API key configured. Use `wandb login`); its numbers are in")
    assert notes[1].startswith("trackio is not installed; its numbers are in")


def test_stable_diffusion_xl_is_drawn_with_and_not_trained(tmp_path: Path) -> None:
    """Said before a weight is loaded."""
    make_xl_pipeline(tmp_path / "words").save_pretrained(tmp_path / "xl", safe_serialization=True)
    with pytest.raises(ModelError, match=r"xl: a Stable Diffusion XL; ControlNets are trained here on 1\.x and 2\.x"):
        load_base(recipe_of(tmp_path / "xl", tmp_path).model, 32, tmp_path, 0)
