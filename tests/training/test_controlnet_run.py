"""Whole runs: stopped and resumed to the last bit, refused if they must be, exported as diffusers and `build` load."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import PIL.Image
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from safetensors.torch import load_file

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import (
    DiskError,
    InputError,
    Interrupted,
    ModelError,
    RecipeError,
    SourceError,
    StoreError,
)
from earthsynth_factory.io.lock import locked
from earthsynth_factory.models.card import read_card
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from earthsynth_factory.training import checkpoint
from earthsynth_factory.training.controlnet import run as runs
from earthsynth_factory.training.controlnet.reporting import Log
from earthsynth_factory.training.controlnet.run import train_controlnet
from earthsynth_factory.training.controlnet.trainer import ControlNetTrainer
from earthsynth_factory.training.start import Options, start
from tests.synthesis.test_controlnet import condition
from tests.training.controlnet_runs import recipe_of
from tests.training.scenes import scene, write_layout

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("data") / "d", 8)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (out / "log.jsonl").read_bytes().splitlines()]


def newest(out: Path) -> dict[str, torch.Tensor]:
    found = checkpoint.latest(out / "checkpoints")
    assert found
    return found.tensors


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_resumed_runs_equal_an_uninterrupted_one_to_the_last_bit(
    precision: str, tiny_pipeline: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optim, run = {"steps": 5, "accumulate": 2}, {"precision": precision}
    recipe = recipe_of(tiny_pipeline, data, optim=optim, run=run, loss={"min_snr": 5.0})
    train_controlnet(recipe, tmp_path, tmp_path / "whole")
    broken = tmp_path / "broken"
    real = ControlNetTrainer.step

    def dies(self: ControlNetTrainer, number: int, position: int) -> Any:
        if number == 3:
            raise KeyboardInterrupt  # without a checkpoint: step 3 was saved at 2
        return real(self, number, position)

    def is_stopped(self: ControlNetTrainer, number: int, position: int) -> Any:
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, number, position)

    monkeypatch.setattr(ControlNetTrainer, "step", dies)
    with pytest.raises(KeyboardInterrupt):
        train_controlnet(recipe, tmp_path, broken)
    assert len(log_of(broken)) == 3
    monkeypatch.setattr(ControlNetTrainer, "step", is_stopped)
    with pytest.raises(Interrupted, match="stopped at step 4 of 5; the same command with --resume goes on"):
        train_controlnet(recipe, tmp_path, broken, resume=True)
    monkeypatch.setattr(ControlNetTrainer, "step", real)
    train_controlnet(recipe, tmp_path, broken, resume=True)
    assert log_of(broken) == log_of(tmp_path / "whole")
    whole, resumed = newest(tmp_path / "whole"), newest(broken)
    assert whole.keys() == resumed.keys()
    assert {name.split(".")[0] for name in whole} == {"trained", "average", "optimizer", "norms"}
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, msg=name)
    for name, value in load_file(tmp_path / "whole/model/diffusion_pytorch_model.safetensors").items():
        assert torch.equal(load_file(broken / "model/diffusion_pytorch_model.safetensors")[name], value)
    steps = sorted(path.name for path in (broken / "checkpoints").iterdir())
    assert steps == ["step-00000004.safetensors", "step-00000005.safetensors"]


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


def test_a_controlnet_is_exported_as_diffusers_and_build_load_it(
    tiny_pipeline: Path, data: Path, tmp_path: Path
) -> None:
    looks = {"images": 2, "loss_samples": 3, "every": 2, "steps": 2, "guidance": 3.0}
    recipe = recipe_of(tiny_pipeline, data, validation=looks, cf_comp={"log": True}, run={"trackers": ["tensorboard"]})
    out = tmp_path / "out"
    model = train_controlnet(recipe, tmp_path, out)
    assert {p.suffix for p in model.iterdir()} == {".json", ".md", ".safetensors"}
    card = read_card(model)
    assert card and (card.control, card.native_size, card.categories) == ("class-id", 64, (4, 6, 8, 25))
    assert "| loss |" in (model / "card.md").read_text()
    alone = ControlNetModel.from_pretrained(model)
    average = {n: v for n, v in newest(out).items() if n.startswith("average.control.")}
    for name, value in alone.state_dict().items():
        assert torch.equal(value, average[f"average.control.{name}"])
    apart = {"base": str(tiny_pipeline), "controlnet": str(model)}
    generator = ControlNetSpec.model_validate({"model": apart, "steps": 2, "batch": 2}).build(
        StageContext(earthsynth(), (), Path(), "cpu")
    )
    generator.open()
    assert generator.generate([condition(25)], [1])[0].shape == (32, 32, 3)
    for step in (2, 4):
        told = orjson.loads((out / f"validation/step-{step:08d}.json").read_bytes())
        assert {"loss", "loss at 0.1", "loss at 0.9", "region accuracy"} <= set(told)
        with PIL.Image.open(out / f"validation/step-{step:08d}.png") as sheet:
            assert sheet.size[0] > 8 * 64
    assert list((out / "tensorboard").iterdir())
    choices = [orjson.loads(line) for line in (out / "choices.jsonl").read_bytes().splitlines()]
    assert [line["step"] for line in choices] == [1, 2, 3, 4]
    assert set(choices[0]["choices"][0]["scores"]) == {"image", "mask", "text"}
    assert choices[0]["choices"][0]["base"][:3] in ("AA_", "BB_")


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


@pytest.mark.parametrize("train", ["lora", "scratch"])
def test_a_changed_unet_is_exported_as_a_whole_pipeline(
    train: str, tiny_pipeline: Path, data: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(tiny_pipeline, data, model={"train": train, "lora_rank": 2, "control": "palette"})
    model = train_controlnet(recipe, tmp_path, tmp_path / "out")
    pipe = StableDiffusionControlNetPipeline.from_pretrained(model, safety_checker=None)
    base = StableDiffusionControlNetPipeline.from_pretrained(tiny_pipeline, safety_checker=None)
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v.weight"
    assert not torch.equal(pipe.unet.state_dict()[name], base.unet.state_dict()[name])
    assert (model / "lora/pytorch_lora_weights.safetensors").is_file() == (train == "lora")
    spec = ControlNetSpec.model_validate({"model": str(model), "steps": 2, "batch": 2})
    assert spec.card(Path()).control == "palette"
    generator = spec.build(StageContext(earthsynth(), (), Path(), "cpu"))
    generator.open()
    assert generator.generate([condition(25)], [1])[0].std() > 0


def test_export_only_takes_the_newest_checkpoint(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_pipeline, data, optim={"steps": 2})
    model = train_controlnet(recipe, tmp_path, tmp_path / "out")
    weights = (model / "diffusion_pytorch_model.safetensors").read_bytes()
    (model / "diffusion_pytorch_model.safetensors").unlink()
    assert train_controlnet(recipe, tmp_path, tmp_path / "out", export_only=True) == model
    assert (model / "diffusion_pytorch_model.safetensors").read_bytes() == weights


def test_going_on_from_an_own_controlnet_keeps_its_encoding(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    first = train_controlnet(
        recipe_of(tiny_pipeline, data, model={"control": "palette"}, optim={"steps": 1}), tmp_path, tmp_path / "a"
    )
    again = recipe_of(tiny_pipeline, data, model={"controlnet": str(first)}, optim={"steps": 1, "lr": 1e-9})
    model = train_controlnet(again, tmp_path, tmp_path / "b")
    card = read_card(model)
    assert card and card.control == "palette"
    before, after = (load_file(m / "diffusion_pytorch_model.safetensors") for m in (first, model))
    torch.testing.assert_close(before, after, rtol=0, atol=1e-6)


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


@pytest.mark.parametrize("name", ["train_earthsynth", "finetune_own_classes", "train_tiny"])
def test_shipped_recipes_are_valid(name: str) -> None:
    from earthsynth_factory.recipe.load import load_block
    from earthsynth_factory.training.controlnet.spec import ControlNetRecipe

    assert load_block(ROOT / f"recipes/{name}.yaml", lambda _: ControlNetRecipe).kind == "controlnet"


def test_all_faults_of_a_recipe_come_together(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("kind: controlnet\nname: x\nsize: 65\ndata: {path: d, variant: 2}\ncf_comp: {mode: of}\n")
    with pytest.raises(RecipeError) as caught:
        start(path, Options(changes=["optim.lr=-1"]))
    assert caught.value.faults == [
        f"{path}:3:7: size: 65 → must be a multiple of 8",
        f"{path}:4:17: data.variant → unknown key; did you mean 'variants'?",
        f"{path}:5:17: cf_comp.mode: 'of' → must be 'off', 'cf-comp' or 'random'; did you mean 'off'?",
        "--set optim.lr=-1: optim.lr: -1 → must be above 0",
    ]


def test_scratch_takes_no_weights_along(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("kind: controlnet\nname: x\ndata: {path: d}\nmodel: {train: scratch, controlnet: embedded}\n")
    with pytest.raises(RecipeError, match="train: scratch begins with random weights alone; set controlnet: new"):
        start(path, Options())


def test_a_path_that_starts_elsewhere_is_understood(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(f"kind: controlnet\nname: x\ndata: {{path: {data.name}}}\n")
    monkeypatch.chdir(data.parent)
    with pytest.raises(SourceError, match=rf"starts at the recipe's; did you mean data.path={data}\?"):
        start(path, Options(out=tmp_path / "out", preview=1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"no such folder.*`earthsynth-factory prepare` makes one"):
        start(path, Options(out=tmp_path / "out", preview=1))


def test_a_batch_too_small_to_compose_is_told(
    tiny_pipeline: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_controlnet(recipe_of(tiny_pipeline, data, optim={"batch": 2, "steps": 1}), tmp_path, tmp_path / "out")
    assert "nothing is composed: cf_comp.share of optim.batch 2 leaves none" in capsys.readouterr().err


def test_pictures_without_training(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(f"kind: controlnet\nname: x\nsize: 64\ndata: {{path: {data}}}\n")
    folder = start(path, Options(out=tmp_path / "out", preview=10))
    assert sorted(p.name for p in folder.iterdir()) == ["000.png", "001.png", "choices.jsonl"]
    assert len((folder / "choices.jsonl").read_bytes().splitlines()) == 10
    with PIL.Image.open(folder / "000.png") as sheet:
        assert sheet.size[0] > 5 * 192
    with pytest.raises(InputError, match="nothing is composed"):
        start(path, Options(out=tmp_path / "out", preview=10, changes=["cf_comp.mode=off"]))


def test_a_recipe_of_another_kind_is_refused() -> None:
    with pytest.raises(RecipeError, match="kind: 'embedded' → must be 'controlnet'"):
        start(ROOT / "recipes/train_embedded.yaml", Options())


def test_mask_fidelity_by_class_where_a_segmenter_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from earthsynth_factory.models.segmenter import Segmenter, SegmenterConfig, SegmenterNetwork
    from earthsynth_factory.training.controlnet import validation

    masks = [np.full((32, 32), 25, np.uint8), np.full((32, 32), 4, np.uint8)]
    images = [np.zeros((32, 32, 3), np.uint8)] * 2
    monkeypatch.setattr(validation, "EMBEDDED", tmp_path)
    cpu = torch.device("cpu")
    assert validation.mask_fidelity(images, masks, earthsynth(), True, cpu) == {}
    config = SegmenterConfig(categories=(0, 25), widths=(4, 8))
    network = SegmenterNetwork(config)
    torch.nn.init.zeros_(network.head.weight)
    network.head.bias.data = torch.tensor([0.0, 1.0])  # sees storage tanks everywhere
    Segmenter(network, config, cpu).save(tmp_path / "segmenter")
    told = validation.mask_fidelity(images, masks, earthsynth(), True, cpu)
    assert told == {"mask fidelity": 0.5, "mask fidelity, storage tank": 0.5}


def test_regions_are_the_largest_of_each_class() -> None:
    from earthsynth_factory.training.controlnet.validation import PER_CLASS, class_regions

    mask = np.zeros((64, 64), np.uint8)
    for number in range(6):
        mask[10 * number : 10 * number + 2 + number, 4:10] = 25
    mask[60, 60] = 4  # a speck
    found = class_regions(mask)
    assert [category for category, _ in found] == [25] * PER_CLASS
    assert found[0] == (25, (4, 50, 6, 7))


def test_the_data_digest_depends_on_what_is_learnt(tmp_path: Path) -> None:
    from earthsynth_factory.training.controlnet.dataset import open_training_data
    from earthsynth_factory.training.controlnet.spec import DataSpec

    root = write_layout(tmp_path / "d", 3)
    spec = DataSpec(path=".", held_out=0)
    before = runs.data_digest(open_training_data(root, spec, tmp_path / "i.json", 1))
    assert before == runs.data_digest(open_training_data(root, spec, tmp_path / "j.json", 1))
    text = (root / "train.jsonl").read_text().replace("satellite", "drone", 1)
    (root / "train.jsonl").write_text(text)
    assert before != runs.data_digest(open_training_data(root, spec, tmp_path / "i.json", 1))
    assert np.unique(scene(0)[1]).tolist() == [0, 4, 25]
