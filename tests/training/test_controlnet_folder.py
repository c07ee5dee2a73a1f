"""A training's folder: whose it is, what it goes on from, what is written beside the weights, and what a full disk leaves."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from safetensors.torch import load_file

from earthsynth_factory.errors import (
    DiskError,
    InputError,
    ModelError,
    StoreError,
)
from earthsynth_factory.io.lock import locked
from earthsynth_factory.models.card import read_card
from earthsynth_factory.training import checkpoint
from earthsynth_factory.training.controlnet.reporting import Log
from earthsynth_factory.training.controlnet.run import train_controlnet
from earthsynth_factory.training.controlnet.trainer import ControlNetTrainer
from tests.training.controlnet_runs import log_of, recipe_of
from tests.training.scenes import write_layout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("data") / "d", 8)


def test_a_run_is_never_begun_anew_or_gone_on_with_by_mistake(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_pipeline, data, optim={"steps": 2})
    with pytest.raises(StoreError, match="no checkpoint to go on from; leave --resume out to begin"):
        train_controlnet(recipe, tmp_path, tmp_path / "out", resume=True)
    train_controlnet(recipe, tmp_path, tmp_path / "out")
    with pytest.raises(StoreError, match="holds a run already; add --resume to go on with it"):
        train_controlnet(recipe, tmp_path, tmp_path / "out")
    other = recipe_of(tiny_pipeline, data, optim={"steps": 9, "lr": 0.5}, cf_comp={"mode": "off"})
    with pytest.raises(StoreError) as caught:
        train_controlnet(other, tmp_path, tmp_path / "out", resume=True)
    assert str(caught.value).splitlines()[1:] == [
        "  cf_comp.mode: 'cf-comp' there, 'off' now",
        "  optim.lr: 0.001 there, 0.5 now",
    ]
    longer = recipe_of(tiny_pipeline, data, optim={"steps": 3})
    train_controlnet(longer, tmp_path, tmp_path / "out", resume=True)
    assert len(log_of(tmp_path / "out")) == 3


def test_two_trainings_do_not_write_into_one_folder(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_pipeline, data, optim={"steps": 1})
    with locked(tmp_path / "out", "training"), pytest.raises(StoreError, match="another train is writing here"):
        train_controlnet(recipe, tmp_path, tmp_path / "out")


def test_a_torn_checkpoint_is_named(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_pipeline, data, optim={"steps": 2})
    train_controlnet(recipe, tmp_path, tmp_path / "out")
    [path] = (tmp_path / "out/checkpoints").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"damaged checkpoint .*remove it to go on from the one before"):
        train_controlnet(recipe, tmp_path, tmp_path / "out", resume=True)


def test_a_checkpoint_of_something_else_is_named(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    recipe, folder = recipe_of(tiny_pipeline, data), tmp_path / "out/checkpoints"
    path = checkpoint.save(folder, checkpoint.Checkpoint(2, 0.0, {"w": torch.ones(1)}))
    with pytest.raises(ModelError, match="checkpoints: step 2 is no checkpoint of this trainer; remove it"):
        train_controlnet(recipe, tmp_path, tmp_path / "out", resume=True)
    path.unlink()
    path.mkdir()
    with pytest.raises(ModelError, match="damaged checkpoint"):
        train_controlnet(recipe, tmp_path, tmp_path / "out", resume=True)


def test_changed_data_are_noticed(tiny_pipeline: Path, tmp_path: Path) -> None:
    own = write_layout(tmp_path / "d", 4)
    recipe = recipe_of(tiny_pipeline, own, optim={"steps": 2}, data={"held_out": 0})
    train_controlnet(recipe, tmp_path, tmp_path / "out")
    write_layout(own, 5)
    with pytest.raises(StoreError, match="data: the dataset's images, masks or texts have changed"):
        train_controlnet(recipe, tmp_path, tmp_path / "out", resume=True)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    first = checkpoint.save(tmp_path, checkpoint.Checkpoint(1, 0.0, {"w": torch.ones(10)}), kept=1)
    kept = first.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(DiskError, match=r"step-00000002.* free space, then go on from the checkpoint before"):
            checkpoint.save(tmp_path, checkpoint.Checkpoint(2, 0.0, {"w": torch.ones(100_000)}), kept=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert first.read_bytes() == kept
    assert [path.name for path in tmp_path.iterdir()] == [first.name]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="the disk is full"):
        checkpoint.save(tmp_path, checkpoint.Checkpoint(3, 0.0, {"w": torch.ones(10)}), kept=1)
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_a_log_that_finds_no_room_is_a_disk_error(tmp_path: Path) -> None:
    with Log(tmp_path, 0, True) as log:
        log._files[0].close()
        log._files[0] = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115  # the log closes it
        with pytest.raises(DiskError, match=r"log\.jsonl: the disk is full"):
            log.write(1, {"loss": 1.0}, ())


def test_bad_steps_are_skipped_counted_and_end_the_run(
    tiny_pipeline: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    recipe = recipe_of(tiny_pipeline, data, optim={"steps": 8}, run={"max_bad_steps": 2})
    real = ControlNetTrainer._backward
    bad = {1: float("nan"), 6: 1e14}
    number = [0]

    def spoiled(self: ControlNetTrainer, inputs: Any, network: Any) -> Any:
        found = real(self, inputs, network)
        if number[0] in bad:
            next(iter(self.learning.values())).grad.fill_(bad[number[0]])  # type: ignore[union-attr]
        number[0] += 1
        return found

    monkeypatch.setattr(ControlNetTrainer, "_backward", spoiled)
    train_controlnet(recipe, tmp_path, tmp_path / "two")
    log = log_of(tmp_path / "two")
    assert [line["skipped"] for line in log] == [0, 1, 1, 1, 1, 1, 2, 2]
    assert log[1]["norm"] is None and log[6]["norm"] > 1e14
    told = capsys.readouterr().err
    assert "step 2 is skipped: loss or gradient was no number" in told
    assert re.search(r"step 7 is skipped: the gradient's norm was \d\.\d+e\+\d+, \d\S+ times the usual \d", told)
    number[0], bad = 0, dict.fromkeys((2, 3, 4), float("nan"))
    with pytest.raises(InputError, match=r"step 5: loss or gradient was no number; 3 steps in a row.*Lower optim\.lr"):
        train_controlnet(recipe, tmp_path, tmp_path / "three")
    [kept] = (tmp_path / "three/bad").iterdir()
    assert set(load_file(kept)) == {"latents", "noise", "levels", "words", "control", "masks"}


def test_the_card_keeps_the_last_look_and_whose_data_it_rests_on(
    tiny_pipeline: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, out = tmp_path / "base, own", tmp_path / "out"
    shutil.copytree(tiny_pipeline, base)
    known = {"name": "b", "control": "palette", "native_size": 32, "training_data": ["theirs"]}
    (base / "card.json").write_bytes(orjson.dumps(known))
    looks = {"images": 1, "loss_samples": 2, "every": 2, "steps": 1}
    recipe = recipe_of(base, data, validation=looks, optim={"steps": 2})
    model = train_controlnet(recipe, tmp_path, out)
    told = (model / "card.md").read_text()
    assert "| loss |" in told and "step-00000002.png" in told
    assert f'synthesis: {{model: {{base: "{base}", controlnet: "<this folder>"}}}}' in told
    assert f'controlnet: "{model}"' in capsys.readouterr().err
    card = read_card(model)
    assert card and card.training_data == ("theirs", data.name)
    for way in ({"resume": True}, {"export_only": True}):
        train_controlnet(recipe, tmp_path, out, **way)
        assert (model / "card.md").read_text() == told
    (out / "validation/step-00000002.json").write_bytes(b"{torn")  # killed in the last look: it is taken again
    train_controlnet(recipe, tmp_path, out, export_only=True)
    assert "Nothing was measured." in (model / "card.md").read_text()
    train_controlnet(recipe, tmp_path, out, resume=True)
    assert (model / "card.md").read_text() == told


def test_export_only_takes_the_newest_checkpoint(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_pipeline, data, optim={"steps": 2})
    model = train_controlnet(recipe, tmp_path, tmp_path / "out")
    weights = (model / "diffusion_pytorch_model.safetensors").read_bytes()
    (model / "diffusion_pytorch_model.safetensors").unlink()
    assert train_controlnet(recipe, tmp_path, tmp_path / "out", export_only=True) == model
    assert (model / "diffusion_pytorch_model.safetensors").read_bytes() == weights


def test_trackers_that_are_there_get_numbers_and_others_are_named(
    tiny_pipeline: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[str, Any]] = []
    fake = types.ModuleType("wandb")
    fake.init = lambda **words: told.append(("init", words))  # type: ignore[attr-defined]
    fake.log = lambda numbers, step: told.append(("log", step))  # type: ignore[attr-defined]
    fake.finish = lambda: told.append(("finish", None))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setitem(sys.modules, "trackio", None)
    recipe = recipe_of(tiny_pipeline, data, run={"trackers": ["wandb", "trackio"], "report_every": 2})
    train_controlnet(recipe, tmp_path, tmp_path / "out")
    assert told == [("init", {"project": "earthsynth-factory", "name": "tiny"}), ("log", 2), ("log", 4), ("log", 4),
                    ("finish", None)]  # fmt: skip
    assert "trackio is not installed; its numbers are in log.jsonl all the same" in capsys.readouterr().err
