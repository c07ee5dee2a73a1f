"""Model layout × (loads / refused with which words): a row each. Refused ones say so before any weight is loaded."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.registry import base_at, files_of
from earthsynth_factory.models.schedulers import SAMPLERS
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from tests.models import original_layout
from tests.tiny_models import TINY, make_pipeline

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def parts(tiny_pipeline: Path, tmp_path: Path) -> Path:
    """A folder with `base` (no ControlNet inside) and `cn`."""
    shutil.copytree(tiny_pipeline, tmp_path / "base")
    (tmp_path / "base/controlnet").rename(tmp_path / "cn")
    index = json.loads((tmp_path / "base/model_index.json").read_text())
    index.pop("controlnet")
    (tmp_path / "base/model_index.json").write_text(json.dumps({**index, "_class_name": "StableDiffusionPipeline"}))
    return tmp_path


def spec(base: str = "base", controlnet: str = "cn", **more: Any) -> ControlNetSpec:
    model = {"base": base, "controlnet": controlnet, **more}
    return ControlNetSpec.model_validate({"model": model, "steps": 2, "batch": 2, "precision": "float32"})


def image_of(given: ControlNetSpec, folder: Path) -> np.ndarray[Any, Any]:
    mask = np.zeros((32, 32), np.uint8)
    mask[8:16] = 4
    condition = Condition(
        mask, np.zeros_like(mask, np.uint16), "a road", 0.5, 1, Origin("test", "test"), known_instances=False
    )
    generator = given.build(StageContext(earthsynth(), (), folder, "cpu"))
    generator.open()
    return generator.generate([condition], [7])[0]


def settings(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


# Layouts that load, all to the image of the plain folder


def shards(parts: Path) -> None:
    pipe = make_pipeline(parts / "words")
    shutil.rmtree(parts / "base/unet")
    pipe.unet.save_pretrained(parts / "base/unet", max_shard_size="300KB")
    assert len(list((parts / "base/unet").glob("*.safetensors"))) > 1


def fp16_names(parts: Path) -> None:
    """Names alone: the numbers stay, so that the image can be compared."""
    for path in [*(parts / "base").rglob("*.safetensors"), *(parts / "cn").glob("*.safetensors")]:
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))


def other_precisions_beside(parts: Path) -> None:
    for path in list((parts / "base").rglob("*.safetensors")):
        path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")).write_bytes(b"is not read")
        path.with_name(path.name.replace(".safetensors", ".non_ema.safetensors")).write_bytes(b"is not read")


def links(parts: Path) -> None:
    """As in the hub's cache."""
    for path in list((parts / "base").rglob("*.safetensors")):
        blob = parts / f"blob-{path.parent.name}"
        path.rename(blob)
        path.symlink_to(blob)


def as_it_is(parts: Path) -> None:
    pass


@pytest.mark.parametrize("change", [as_it_is, shards, fp16_names, other_precisions_beside, links])
def test_a_layout_that_loads(parts: Path, tiny_pipeline: Path, change: Callable[[Path], None]) -> None:
    change(parts)
    given = spec()
    given.check(parts, (32, 32))
    whole = ControlNetSpec.model_validate({**given.model_dump(exclude={"model"}), "model": str(tiny_pipeline)})
    assert np.array_equal(image_of(given, parts), image_of(whole, parts))


def test_a_controlnet_in_a_subfolder(parts: Path) -> None:
    plain = image_of(spec(), parts)
    (parts / "repository").mkdir()
    (parts / "cn").rename(parts / "repository/controlnet")
    given = spec(controlnet="repository", subfolder="controlnet")
    given.check(parts, (32, 32))
    assert np.array_equal(image_of(given, parts), plain)


def test_single_files_of_the_original_layout_give_the_image_of_the_folders(tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    from earthsynth_factory.models.part import Part
    from earthsynth_factory.models.single_file import clip_tokenizer

    made = original_layout.networks()
    original_layout.save_base(made, tmp_path / "v1-5-pruned.safetensors")
    original_layout.save_controlnet(made, tmp_path / "control.safetensors")
    tokenizer: CLIPTokenizer = clip_tokenizer(Part(tmp_path, {}, ()))
    base = StableDiffusionPipeline(
        vae=made["vae"], text_encoder=made["text"], tokenizer=tokenizer, unet=made["unet"], feature_extractor=None,
        scheduler=make_pipeline(tmp_path / "words").scheduler, safety_checker=None, requires_safety_checker=False,
    )  # fmt: skip
    base.save_pretrained(tmp_path / "base")
    made["control"].save_pretrained(tmp_path / "cn")
    files = spec("v1-5-pruned.safetensors", "control.safetensors")
    files.check(tmp_path, (32, 32))
    told = base_at(tmp_path / "v1-5-pruned.safetensors").scheduler
    (tmp_path / "base/scheduler/scheduler_config.json").write_text(json.dumps(dict(told)))
    difference = image_of(files, tmp_path).astype(int) - image_of(spec(), tmp_path)
    assert np.abs(difference).max() <= 1


def test_the_tokenizer_of_a_single_file_is_clips() -> None:
    from earthsynth_factory.models.part import Part
    from earthsynth_factory.models.single_file import clip_tokenizer

    ids = clip_tokenizer(Part(Path(), {}, ()))("A satellite image of a ship").input_ids
    assert ids == [49406, 320, 10316, 2867, 539, 320, 1158, 49407]


# Layouts that are refused, each with its words


def inpainting(parts: Path) -> None:
    shutil.rmtree(parts / "base/unet")
    UNet2DConditionModel(**{**TINY["unet"], "in_channels": 9}).save_pretrained(parts / "base/unet")


def xl_without_its_second_text_encoder(parts: Path) -> None:
    settings(parts / "base/model_index.json", _class_name="StableDiffusionXLPipeline", text_encoder_2=["a", "b"])


def xl_unet_alone(parts: Path) -> None:
    settings(parts / "base/unet/config.json", addition_embed_type="text_time")


def second_text_encoder_of_no_use(parts: Path) -> None:
    for kind in ("text_encoder", "tokenizer"):
        shutil.copytree(parts / f"base/{kind}", parts / f"base/{kind}_2")


def stable_diffusion_3(parts: Path) -> None:
    settings(parts / "base/model_index.json", _class_name="StableDiffusion3Pipeline")


def flux(parts: Path) -> None:
    settings(parts / "base/model_index.json", _class_name="FluxPipeline")


def xl_controlnet(parts: Path) -> None:
    settings(parts / "cn/config.json", addition_embed_type="text_time")


def other_text_width(parts: Path) -> None:
    settings(parts / "base/unet/config.json", cross_attention_dim=1024)
    settings(parts / "base/text_encoder/config.json", hidden_size=1024)


def text_of_another_model(parts: Path) -> None:
    settings(parts / "base/text_encoder/config.json", hidden_size=768)


def wider(parts: Path) -> None:
    shutil.rmtree(parts / "cn")
    unet = UNet2DConditionModel(**{**TINY["unet"], "block_out_channels": (24, 24, 48, 48)})
    ControlNetModel.from_unet(unet).save_pretrained(parts / "cn")


def four_channels(parts: Path) -> None:
    settings(parts / "cn/config.json", conditioning_channels=4)


def other_stem(parts: Path) -> None:
    settings(parts / "cn/config.json", conditioning_embedding_out_channels=[16, 32])


def unet_for_controlnet(parts: Path) -> None:
    shutil.rmtree(parts / "cn")
    shutil.copytree(parts / "base/unet", parts / "cn")


def t5(parts: Path) -> None:
    settings(parts / "base/text_encoder/config.json", architectures=["T5EncoderModel"])


def more_words_than_the_text_encoder_has(parts: Path) -> None:
    settings(parts / "base/text_encoder/config.json", vocab_size=10)


def dangling(parts: Path) -> None:
    path = parts / f"base/unet/{WEIGHTS}"
    path.unlink()
    path.symlink_to(parts / "gone")


def cut_short(parts: Path) -> None:
    path = parts / f"base/vae/{WEIGHTS}"
    path.write_bytes(path.read_bytes()[:-100])


def pointer(parts: Path) -> None:
    (parts / f"cn/{WEIGHTS}").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def no_json(parts: Path) -> None:
    (parts / "base/vae/config.json").write_text("<html>")


def shard_missing(parts: Path) -> None:
    shards(parts)
    next((parts / "base/unet").glob("*-00002-*")).unlink()


def shard_outside(parts: Path) -> None:
    shards(parts)
    path = parts / f"base/unet/{WEIGHTS}.index.json"
    told = json.loads(path.read_text())
    told["weight_map"] = dict.fromkeys(told["weight_map"], "../../cn/" + WEIGHTS)
    path.write_text(json.dumps(told))


def no_config(parts: Path) -> None:
    (parts / "cn/config.json").unlink()


def no_scheduler(parts: Path) -> None:
    shutil.rmtree(parts / "base/scheduler")


def pickled(parts: Path) -> None:
    path = parts / f"base/unet/{WEIGHTS}"
    path.rename(path.with_suffix(".bin"))


REFUSED = [
    (inpainting, r"base/unet: the UNet takes 9 channels \(an inpainting model\), .*vae gives 4; take a text-to-image"),
    (xl_without_its_second_text_encoder, r"base/text_encoder_2: config.json is missing; fetch the model again"),
    (xl_unet_alone, r"base/unet: the UNet asks for more than text \(text_time\), and .*base has one text encoder"),
    (second_text_encoder_of_no_use, r"base/unet: the UNet has no use for .*base/text_encoder_2; take both from one"),
    (stable_diffusion_3, r"base: a StableDiffusion3Pipeline; Stable Diffusion 1.x, 2.x and XL are driven here; choose"),
    (flux, r"base: a FluxPipeline; Stable Diffusion 1.x, 2.x and XL are driven here; choose"),
    (xl_controlnet, r"cn: is given text_time beside words, .*base/unet nothing: a ControlNet of another family"),
    (other_text_width, r"cn: reads text of width 32, .*base/unet has 1024 \(Stable Diffusion 2.x\): a ControlNet of"),
    (text_of_another_model, r"reads text of width 32, .*text_encoder gives 768 \(Stable Diffusion 1.x\); take both"),
    (wider, r"cn: channels of its blocks 24-24-48-48, of .*base/unet 16-16-32-32: a ControlNet of another family"),
    (four_channels, r"cn: its control image has 4 channels; ones of 3 are made here"),
    (other_stem, r"cn: shrinks its control image 2×, the base's latents are 8× smaller"),
    (unet_for_controlnet, r"cn: a UNet2DConditionModel, no ControlNet; name the folder of a ControlNetModel"),
    (t5, r"base/text_encoder: a T5EncoderModel; CLIPTextModel is driven here"),
    (more_words_than_the_text_encoder_has, r"base/tokenizer: has 80 words, .*text_encoder knows 10; take both from"),
    (dangling, r"base/unet/diffusion_pytorch_model.safetensors: a link to nothing; fetch the file again"),
    (cut_short, r"vae/diffusion_pytorch_model.safetensors: cut short, \d+ of \d+ bytes of weights; fetch"),
    (pointer, r"cn/diffusion_pytorch_model.safetensors: a pointer of Git LFS in place of the weights; .*git lfs pull"),
    (no_json, r"base/vae/config.json: no JSON"),
    (shard_missing, r"base/unet: 1 of \d+ weight files are missing \(diffusion_pytorch_model-00002-of"),
    (shard_outside, r"base/unet: 1 of 1 weight files are missing \(\.\./\.\./cn/"),
    (no_config, r"cn: config.json is missing; no ControlNet here, set `subfolder`"),
    (no_scheduler, r"base/scheduler: scheduler_config.json is missing; fetch the model again"),
    (pickled, r"base/unet: no safetensors weights here .* convert diffusion_pytorch_model.bin with `save_pretrained"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED, ids=[change.__name__ for change, _ in REFUSED])
def test_a_layout_that_is_refused(parts: Path, change: Callable[[Path], None], words: str) -> None:
    change(parts)
    with pytest.raises(ModelError, match=words):
        spec().check(parts, (32, 32))


def some_missing(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: weights[name] for name in sorted(weights)[4:]}


def one_left_over(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**weights, "of_another_model": torch.zeros(1)}


def not_numbers(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    first = sorted(weights)[0]
    return {**weights, first: torch.full_like(weights[first], float("nan"))}


@pytest.mark.parametrize(
    "file", [f"base/unet/{WEIGHTS}", f"base/vae/{WEIGHTS}", f"cn/{WEIGHTS}", "base/text_encoder/model.safetensors"]
)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (some_missing, "4 weights are missing"),
        (one_left_over, r"1 weight is left over \(of_another_model\)"),
        (not_numbers, "holds NaN"),
    ],
)
def test_weights_that_do_not_match(parts: Path, file: str, change: Any, words: str) -> None:
    rewrite(parts / file, change)
    with pytest.raises(ModelError, match=rf"{Path(file).parent}: .*{words}"):
        image_of(spec(), parts)


def test_two_controlnets_in_one_folder(tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pipeline, tmp_path / "model")
    shutil.copytree(tiny_pipeline / "controlnet", tmp_path / "model/controlnet_1")
    with pytest.raises(
        ModelError, match=r"2 ControlNets \(controlnet, controlnet_1\); name the one that sees the mask"
    ):
        files_of("model", tmp_path)


def test_files_that_this_user_may_not_read(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def refuse(self: Path, *args: Any, **knobs: Any) -> Any:
        if self.parent.name == "cn":
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **knobs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelError, match=r"cn/.*: no permission to read"):
        spec().check(parts, (32, 32))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/data/models/sd15", "base '/data/models/sd15': no such folder"),
        ("models/sd/v15", r"base 'models/sd/v15': no such folder: .*/models/sd/v15 \(paths start at the recipe's\)"),
        ("v1-5.ckpt", r"\.ckpt files are not read, they could run code; save the model as safetensors"),
    ],
)
def test_names_that_are_no_model(parts: Path, name: str, words: str) -> None:
    (parts / "v1-5.ckpt").write_bytes(b"")
    with pytest.raises(ModelError, match=words):
        spec(base=name).check(parts, (32, 32))


def test_a_path_from_the_working_folder_is_pointed_at(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (parts / "recipes").mkdir()
    monkeypatch.chdir(parts)
    with pytest.raises(
        ModelError, match=rf"no such folder: .*recipes/cn \(paths start at the recipe's; did you mean {parts / 'cn'}\?"
    ):
        ControlNetSpec(model="cn").card(parts / "recipes")


def test_a_file_that_is_no_whole_checkpoint(parts: Path) -> None:
    key = "model.diffusion_model.input_blocks.0.0.weight"
    save_file({key: torch.zeros(16, 4, 3, 3)}, parts / "one.safetensors")
    with pytest.raises(ModelError, match=r"one\.safetensors: holds no autoencoder"):
        spec(base="one.safetensors").check(parts, (32, 32))
    with pytest.raises(ModelError, match=r"one\.safetensors: no ControlNet in the original layout"):
        spec(controlnet="one.safetensors").check(parts, (32, 32))
    save_file({"conditioner.embedders.0.x": torch.zeros(1), key: torch.zeros(1)}, parts / "xl.safetensors")
    with pytest.raises(ModelError, match=r"a Stable Diffusion XL in one file; .*from_single_file"):
        spec(base="xl.safetensors").check(parts, (32, 32))


def test_image_sizes_that_the_latents_have_not(parts: Path) -> None:
    with pytest.raises(ModelError, match=r"images of 36 × 32 pixels: this model needs multiples of 8; set image\.size"):
        spec().check(parts, (36, 32))


@pytest.mark.parametrize("scheduler", [name for name, sampler in SAMPLERS.items() if not sampler.flow])
def test_a_scheduler_that_the_model_cannot_run(scheduler: str, tmp_path: Path) -> None:
    given = ControlNetSpec.model_validate({"model": "embedded", "scheduler": scheduler})
    with pytest.raises(
        ModelError, match=rf"{re.escape(scheduler)} cannot run a flow-matching model, .*; set it to unipc or dpm\+\+"
    ):
        given.check(tmp_path, (128, 128))
