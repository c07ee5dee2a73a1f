"""Whole runs: stopped and resumed to the last bit, exported as diffusers and `build` load; and what begins none."""

from __future__ import annotations

import os
import signal
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
    InputError,
    Interrupted,
    RecipeError,
    SourceError,
)
from earthsynth_factory.models.card import read_card
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from earthsynth_factory.training import checkpoint
from earthsynth_factory.training.controlnet import run as runs
from earthsynth_factory.training.controlnet.run import train_controlnet
from earthsynth_factory.training.controlnet.trainer import ControlNetTrainer
from earthsynth_factory.training.start import Options, start
from tests.killing import leave_half_written
from tests.synthesis.test_controlnet import condition
from tests.training.controlnet_runs import log_of, recipe_of
from tests.training.scenes import scene, write_layout

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("data") / "d", 8)


def newest(out: Path) -> dict[str, torch.Tensor]:
    found = checkpoint.latest(out / "checkpoints")
    assert found
    return found.tensors


def test_resumed_runs_equal_an_uninterrupted_one_to_the_last_bit(
    tiny_pipeline: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the precision of this processor; CI forces the other."""
    recipe = recipe_of(tiny_pipeline, data, optim={"steps": 5, "accumulate": 2}, loss={"min_snr": 5.0})
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
    leave_half_written(broken)
    monkeypatch.setattr(ControlNetTrainer, "step", is_stopped)
    with pytest.raises(Interrupted, match="stopped at step 4 of 5; the same command with --resume goes on"):
        train_controlnet(recipe, tmp_path, broken, resume=True)
    monkeypatch.setattr(ControlNetTrainer, "step", real)
    train_controlnet(recipe, tmp_path, broken, resume=True)
    assert log_of(broken) == log_of(tmp_path / "whole")
    assert not list(broken.rglob("*.esf-tmp"))
    whole, resumed = newest(tmp_path / "whole"), newest(broken)
    assert whole.keys() == resumed.keys()
    assert {name.split(".")[0] for name in whole} == {"trained", "average", "optimizer", "norms"}
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, msg=name)
    for name, value in load_file(tmp_path / "whole/model/diffusion_pytorch_model.safetensors").items():
        assert torch.equal(load_file(broken / "model/diffusion_pytorch_model.safetensors")[name], value)
    steps = sorted(path.name for path in (broken / "checkpoints").iterdir())
    assert steps == ["step-00000004.safetensors", "step-00000005.safetensors"]


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
