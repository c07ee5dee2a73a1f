"""Model layout × (loads / refused with which words): a row each. Refused ones say so before any weight is loaded."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
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


def xl_refiner(parts: Path) -> None:
    shutil.rmtree(parts / "base/text_encoder")
    named = {"_class_name": "StableDiffusionXLImg2ImgPipeline", "text_encoder": [None, None]}
    settings(parts / "base/model_index.json", **named)


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


def settings_of_another_type(parts: Path) -> None:
    settings(parts / "base/vae/config.json", block_out_channels=5)


def whole_numbers(parts: Path) -> None:
    rewrite(parts / f"base/unet/{WEIGHTS}", lambda weights: {name: one.to(torch.int8) for name, one in weights.items()})


def header_that_lies(parts: Path) -> None:
    header = json.dumps({"conv_in.weight": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4]}}).encode()
    (parts / f"base/unet/{WEIGHTS}").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


def header_longer_than_the_file(parts: Path) -> None:
    (parts / f"base/unet/{WEIGHTS}").write_bytes(struct.pack("<Q", 2**63) + b"{}")


def empty_file(parts: Path) -> None:
    (parts / f"base/unet/{WEIGHTS}").write_bytes(b"")


def never_ending(parts: Path) -> None:
    (parts / "cn/config.json").unlink()
    (parts / "cn/config.json").symlink_to("/dev/zero")


def pipe_for_weights(parts: Path) -> None:
    (parts / f"cn/{WEIGHTS}").unlink()
    os.mkfifo(parts / f"cn/{WEIGHTS}")


def links_in_a_circle(parts: Path) -> None:
    (parts / "cn/config.json").unlink()
    (parts / "cn/config.json").symlink_to("config.json")


def folder_in_a_circle(parts: Path) -> None:
    shutil.rmtree(parts / "cn")
    (parts / "cn").symlink_to("cn")


def for_the_style_of_pictures(parts: Path) -> None:
    settings(parts / "cn/config.json", global_pool_conditions=True)


def moved_latents(parts: Path) -> None:
    settings(parts / "base/vae/config.json", latents_mean=[0.1] * 4, latents_std=[2.0] * 4)


def old_tokenizer(parts: Path) -> dict[str, Any]:
    """As vocab.json and merges.txt; its words and their numbers."""
    folder = parts / "base/tokenizer"
    words: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return words


def no_merges(parts: Path) -> None:
    old_tokenizer(parts)
    (parts / "base/tokenizer/merges.txt").unlink()


def words_without_numbers(parts: Path) -> None:
    old_tokenizer(parts)
    (parts / "base/tokenizer/vocab.json").write_text('{"a": "b"}')


def words_that_were_added(parts: Path) -> None:
    old_tokenizer(parts)
    (parts / "base/tokenizer/added_tokens.json").write_text('{"<mine>": 5000}')


def noise_levels_without_end(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", num_train_timesteps=10**11)


def noise_levels_of_another_model(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", trained_betas=[0.1, 0.2])


def prediction_of_nobody(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", prediction_type="mine")


def heads_of_none(parts: Path) -> None:
    settings(parts / "base/unet/config.json", attention_head_dim=0)


def channels_in_no_order(parts: Path) -> None:
    settings(parts / "cn/config.json", controlnet_conditioning_channel_order="grb")


def quantised_by_settings(parts: Path) -> None:
    settings(parts / "base/text_encoder/config.json", quantization_config={"quant_method": "bitsandbytes"})


def shards_without_their_index(parts: Path) -> None:
    shards(parts)
    (parts / f"base/unet/{WEIGHTS}.index.json").unlink()


def pipeline_without_a_name(parts: Path) -> None:
    settings(parts / "base/model_index.json", _class_name=5)


def noise_beyond_all(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", beta_end=5.0)


def settings_of_words_that_are_a_list(parts: Path) -> None:
    (parts / "base/tokenizer/tokenizer_config.json").write_text("[1]")


def words_behind_a_dangling_link(parts: Path) -> None:
    (parts / "base/tokenizer/tokenizer.json").unlink()
    (parts / "base/tokenizer/tokenizer.json").symlink_to("gone")


def folder_that_is_a_dangling_link(parts: Path) -> None:
    shutil.rmtree(parts / "cn")
    (parts / "cn").symlink_to("gone")


def pickled(parts: Path) -> None:
    path = parts / f"base/unet/{WEIGHTS}"
    path.rename(path.with_suffix(".bin"))


REFUSED = [
    (inpainting, r"base/unet: the UNet takes 9 channels \(an inpainting model\), .*vae gives 4; take a text-to-image"),
    (xl_without_its_second_text_encoder, r"base/text_encoder_2: config.json is missing; fetch the model again"),
    (xl_unet_alone, r"base/unet: the UNet asks for more than text \(text_time\), and .*base has one text encoder"),
    (second_text_encoder_of_no_use, r"base/unet: the UNet has no use for .*base/text_encoder_2; take both from one"),
    (
        xl_refiner,
        r"base: its model_index.json names no text_encoder \(a refiner has none\); take the base of that family",
    ),
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
    (settings_of_another_type, r"base/vae/config.json: block_out_channels is 5: input should be a valid list; fetch"),
    (whole_numbers, r"unet/diffusion_pytorch_model.safetensors: 684 weights are no fractions \(.*: I8\): a quantised"),
    (
        header_that_lies,
        r"a damaged safetensors header: 'conv_in.weight' of type F32 and shape \(1000000000000,\) in bytes",
    ),
    (header_longer_than_the_file, r"model.safetensors: no safetensors file, or cut short \(10 bytes\); fetch it again"),
    (empty_file, r"model.safetensors: no safetensors file, or cut short \(0 bytes\); fetch it again"),
    (never_ending, r"cn/config.json: no regular file, no configuration; is it another file\?"),
    (pipe_for_weights, r"cn/diffusion_pytorch_model.safetensors: .*no regular file"),
    (links_in_a_circle, r"cn/config.json: cannot be read \(Too many levels of symbolic links\)"),
    (folder_in_a_circle, r"controlnet 'cn': no path \(Symlink loop from .*\); name a folder or a file"),
    (for_the_style_of_pictures, r"cn: sees a picture's style as a whole \(global_pool_conditions\), not where classes"),
    (
        moved_latents,
        r"base/vae: moves its latents \(latents_mean\); autoencoders that scale them alone are driven here",
    ),
    (no_merges, r"base/tokenizer: merges.txt is missing; fetch the model again"),
    (words_without_numbers, r"tokenizer/vocab.json: no vocabulary of words and their numbers; fetch the model again"),
    (words_that_were_added, r"base/tokenizer: has 5001 words, .*text_encoder knows 80; take both from one model"),
    (noise_levels_without_end, r"base: scheduler: num_train_timesteps is 100000000000; from the 2 steps .* to 100000"),
    (noise_levels_of_another_model, r"base: scheduler: 2 trained_betas for 1000 num_train_timesteps; fetch it again"),
    (prediction_of_nobody, r"base: scheduler: prediction_type 'mine' is none of epsilon, v_prediction, sample, flow"),
    (heads_of_none, r"unet/config.json: attention_head_dim is 0: input should be greater than or equal to 1; fetch"),
    (channels_in_no_order, r"controlnet_conditioning_channel_order is \"grb\": input should be 'rgb' or 'bgr'; fetch"),
    (quantised_by_settings, r"text_encoder/config.json: a quantised model \(bitsandbytes\); take one in float16"),
    (shards_without_their_index, r"base/unet: .*safetensors.index.json is missing, which names the shards \(.*00001"),
    (pipeline_without_a_name, r"base/model_index.json: _class_name is 5, no name; fetch the file again"),
    (noise_beyond_all, r"base: scheduler: beta_end is 5.0: input should be less than 1; fetch the model again"),
    (settings_of_words_that_are_a_list, r"tokenizer/tokenizer_config.json: holds no JSON object; fetch the file again"),
    (words_behind_a_dangling_link, r"tokenizer/tokenizer.json: a link to nothing; fetch the file again"),
    (folder_that_is_a_dangling_link, r"controlnet 'cn': .*/cn: a link to nothing; fetch the model again"),
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


def of_another_shape(parts: Path) -> None:
    settings(parts / "base/text_encoder/config.json", max_position_embeddings=5)


def words_that_begin_and_end_a_text(parts: Path) -> None:
    words = old_tokenizer(parts)
    words["<end>"] = words.pop("<|endoftext|>")
    (parts / "base/tokenizer/vocab.json").write_text(json.dumps(words))


def no_room_for_a_word(parts: Path) -> None:
    settings(parts / "base/tokenizer/tokenizer_config.json", model_max_length=2)


def sampler_of_nobody(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", _class_name="MyOwnScheduler")


def sampler_that_is_none(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", _class_name="UNet2DConditionModel")


def sampler_without_steps(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", _class_name="ScoreSdeVeScheduler")


def sampler_of_another_loop(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", _class_name="KarrasVeScheduler")


def heads_that_do_not_share(parts: Path) -> None:
    settings(parts / "base/text_encoder/config.json", num_attention_heads=5)


def strange_betas(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", beta_schedule="mine")


def strange_spacing(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", timestep_spacing="mine")


LATER = [
    (
        of_another_shape,
        r"base/text_encoder: 1 weight is of another shape \(.*position_embedding.weight\); fetch or convert",
    ),
    (
        words_that_begin_and_end_a_text,
        r"base/tokenizer: has 81 words with those that begin and end a text, .* knows 80",
    ),
    (no_room_for_a_word, r"base/tokenizer: model_max_length is 2, which holds no word; fetch the model again"),
    (sampler_of_nobody, r"base: scheduler: MyOwnScheduler is none of diffusers' samplers; set `_class_name`"),
    (sampler_that_is_none, r"base: scheduler: UNet2DConditionModel is none of diffusers' samplers; set `_class_name`"),
    (sampler_without_steps, r"base: scheduler: ScoreSdeVeScheduler is none of diffusers' samplers; set `_class_name`"),
    (sampler_of_another_loop, r"base: scheduler: KarrasVeScheduler is none of diffusers' samplers; set `_class_name`"),
    (heads_that_do_not_share, r"text_encoder: not loadable as a CLIPTextModel: .*: .*\(32\).*5\)?.*; fetch the model"),
    (strange_betas, r"base: scheduler: PNDMScheduler does not take its settings: mine is not implemented"),
    (
        strange_spacing,
        r"base: scheduler: UniPCMultistepScheduler cannot run 2 steps with the model's settings: mine is",
    ),
]


@pytest.mark.parametrize(("change", "words"), LATER, ids=[change.__name__ for change, _ in LATER])
def test_a_layout_that_is_refused_when_it_is_loaded(parts: Path, change: Callable[[Path], None], words: str) -> None:
    """Before any image is made."""
    change(parts)
    given = spec().build(StageContext(earthsynth(), (), parts, "cpu"))
    with pytest.raises(ModelError, match=words):
        given.open()


def test_two_controlnets_in_one_folder(tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pipeline, tmp_path / "model")
    shutil.copytree(tiny_pipeline / "controlnet", tmp_path / "model/controlnet_1")
    with pytest.raises(
        ModelError, match=r"2 ControlNets \(controlnet, controlnet_1\); name the one that sees the mask"
    ):
        files_of("model", tmp_path)


def test_files_that_this_user_may_not_read(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: Any, *args: Any, **knobs: Any) -> Any:
        if Path(path).parent.name == "cn":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **knobs)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ModelError, match=r"cn/.*: no permission to read"):
        spec().check(parts, (32, 32))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/data/models/sd15", "base '/data/models/sd15': no such folder"),
        ("models/sd/v15", r"base 'models/sd/v15': no such folder: .*/models/sd/v15 \(paths start at the recipe's\)"),
        (
            "~nosuchuser/sd15",
            r"base '~nosuchuser/sd15': no path \(Could not determine home directory.*name a folder or a",
        ),
        ("a\0b", r"no path \(embedded null byte\); name a folder or a file"),
        ("x/" * 3000, r"base 'x/x/.*' …: no path \(.*File name too long.*; name a folder or a file"),
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


def test_a_sampler_that_has_no_step_for_what_the_model_predicts(parts: Path) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", prediction_type="sample")
    given = spec().model_copy(update={"scheduler": "euler-a"})
    with pytest.raises(ModelError, match=r"euler-a cannot run a model that predicts the image itself, .*; set unipc"):
        given.check(parts, (32, 32))


@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if sampler.sample])
def test_samplers_that_have_one(parts: Path, name: str) -> None:
    settings(parts / "base/scheduler/scheduler_config.json", prediction_type="sample")
    assert image_of(spec().model_copy(update={"scheduler": name}), parts).std() > 0


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


def less_of(part: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda weights: {name: one for name, one in weights.items() if not name.startswith(part)}


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (
            "b",
            less_of("model.diffusion_model.input_blocks.1.0.emb"),
            r"holds \d+ weights of a UNet2DConditionModel, to",
        ),
        (
            "b",
            less_of("first_stage_model.decoder.mid.attn_1.q"),
            r"weights of a AutoencoderKL, to one of its shape bel",
        ),
        ("b", lambda w: {**w, "model.diffusion_model.mine": torch.zeros(1)}, r"of its shape belong \d+; fetch or conv"),
        ("c", less_of("control_model.zero_convs.1"), r"holds \d+ weights of a ControlNetModel, to one of its shape"),
        (
            "b",
            lambda w: {n: o.flatten() if n.endswith("input_blocks.0.0.weight") else o for n, o in w.items()},
            r"input_blocks.0.0.weight has the shape \(\d+,\), not one of 4 numbers; fetch it again",
        ),
    ],
)
def test_a_file_of_the_original_layout_that_is_not_whole(tmp_path: Path, file: str, change: Any, words: str) -> None:
    made = original_layout.networks()
    original_layout.save_base(made, tmp_path / "b.safetensors")
    original_layout.save_controlnet(made, tmp_path / "c.safetensors")
    rewrite(tmp_path / f"{file}.safetensors", change)
    with pytest.raises(ModelError, match=rf"{file}.safetensors: .*{words}"):
        image_of(spec("b.safetensors", "c.safetensors"), tmp_path)
