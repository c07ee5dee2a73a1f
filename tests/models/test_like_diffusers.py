"""What both have, ours from its folders and diffusers from the same: equal within 1/255 on tiny random models."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    MultiControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetPipeline,
    UNet2DConditionModel,
)

from earthsynth_factory.models.card import Scheduler
from earthsynth_factory.models.controlnet_pipeline import Asked, ControlNetPipeline
from earthsynth_factory.models.denoise import Control, DenoiseRequest, Sampling, decode_latents, denoise
from earthsynth_factory.models.loading import load_pipe
from earthsynth_factory.models.low_memory import slice_attention
from earthsynth_factory.models.prompt_words import PromptWords
from earthsynth_factory.models.registry import ModelFiles
from earthsynth_factory.models.schedulers import SAMPLERS, make_scheduler
from earthsynth_factory.models.style_images import StyleImages
from tests.models import ip_adapters
from tests.models.loras import peft as save_peft
from tests.models.loras import random_halves
from tests.models.test_layouts import settings
from tests.tiny_models import TINY, lively_controlnet, make_xl_pipeline

STEPS, SIDE = 4, 32
SLOW = pytest.mark.slow
SHORT = ("ddim", "dpm++", "euler-a", "heun", "lcm")
"""Samplers of which one stands for its like."""
PROMPTS, NEGATIVES, SEEDS = ["a road", "a ship on water"], ["blurry", "boats"], [3, 4]


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xl")
    make_xl_pipeline(folder / "words").save_pretrained(folder / "pipeline", safe_serialization=True)
    return folder / "pipeline"


@pytest.fixture(scope="module")
def second_control(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("second") / "edges"
    torch.manual_seed(9)
    unet = StableDiffusionControlNetPipeline.from_pretrained(tiny_pipeline).unet
    lively_controlnet(unet).save_pretrained(folder)
    return folder


def files(folder: Path, **more: Any) -> ModelFiles:
    return ModelFiles(folder, folder / "controlnet", **more)


def images(count: int = 1) -> list[torch.Tensor]:
    return [torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5 + n)) for n in range(count)]


@torch.inference_mode()
def ours(model: ModelFiles, how: Sampling, change: Callable[[Any], None] = lambda _: None) -> torch.Tensor:
    """change: what else is done to the pipeline."""
    pipe = load_pipe(model.inspect())
    change(pipe)
    pipe.scheduler = make_scheduler(pipe.scheduler, how.scheduler)
    words = PromptWords(pipe, torch.device("cpu"))
    unguided = words.against(NEGATIVES) if how.guided else None
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    asked = words(PROMPTS)
    if (style := model.inspect().style) is not None:
        shown, nothing = StyleImages(pipe, style, torch.device("cpu"))(SEEDS)
        asked, unguided = replace(asked, style=shown), unguided and replace(unguided, style=nothing)
    request = DenoiseRequest(asked, unguided, images(len(how.controls)), generators)
    return decode_latents(pipe.vae, denoise(pipe, how, request))


def theirs(pipe: Any, how: Sampling, negatives: list[str] | None = NEGATIVES, **more: Any) -> torch.Tensor:
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = make_scheduler(pipe.scheduler, how.scheduler)
    seen, scales, ends = images(len(how.controls)), [c.scale for c in how.controls], [c.end for c in how.controls]
    several = len(how.controls) > 1
    return pipe(
        PROMPTS, negative_prompt=negatives, image=seen if several else seen[0], num_inference_steps=how.steps,
        eta=0.3 * (how.scheduler == "tcd"),
        guidance_scale=how.guidance, controlnet_conditioning_scale=scales if several else scales[0],
        control_guidance_end=ends if several else ends[0], output_type="pt",
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS], **more,
    ).images  # fmt: skip


def plain(folder: Path, **more: Any) -> Any:
    return StableDiffusionControlNetPipeline.from_pretrained(folder, safety_checker=None, **more)


def plain_xl(folder: Path) -> Any:
    return StableDiffusionXLControlNetPipeline.from_pretrained(folder, add_watermarker=False)


def away(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.detach() - b.detach()).abs().max()) * 255


@pytest.mark.parametrize(("name", "guidance"), [("dpm++", 7.5), ("lcm", 1.0), pytest.param("tcd", 1.0, marks=SLOW)])
def test_loras(tiny_pipeline: Path, tmp_path: Path, name: Scheduler, guidance: float) -> None:
    """Two of them, weighted; also under the samplers that such LoRAs are made for."""
    pytest.importorskip("peft")
    pipe = plain(tiny_pipeline)
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_peft(random_halves(pipe), one)
    save_peft(random_halves(pipe, ("unet",)), two)
    how = Sampling(STEPS, guidance, name)
    made = ours(files(tiny_pipeline, loras=((one, "one", 0.8), (two, "two", -0.3))), how)
    for path, adapter in ((one, "one"), (two, "two")):
        pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=adapter)
    pipe.set_adapters(["one", "two"], [0.8, -0.3])
    pipe.fuse_lora(adapter_names=["one", "two"])
    assert away(made, theirs(pipe, how)) < 1
    assert away(made, ours(files(tiny_pipeline), how)) > 2, "and it does something"


@pytest.mark.parametrize(
    "ends", [pytest.param((1.0, 1.0), marks=SLOW), (1.0, 0.5), pytest.param((0.5, 0.25), marks=SLOW)]
)
def test_several_controlnets(tiny_pipeline: Path, second_control: Path, ends: tuple[float, float]) -> None:
    how = Sampling(STEPS, 7.5, "unipc", (Control(0.8, ends[0]), Control(0.5, ends[1])))
    places = tiny_pipeline / "controlnet", second_control
    nets = MultiControlNetModel([ControlNetModel.from_pretrained(place) for place in places])
    made = ours(files(tiny_pipeline, more=(second_control,)), how)
    assert away(made, theirs(plain(tiny_pipeline, controlnet=nets), how)) < 1
    assert away(made, ours(files(tiny_pipeline), Sampling(STEPS, 7.5, "unipc", (how.controls[0],)))) > 1


def test_an_autoencoder_of_ones_own(tiny_pipeline: Path, tmp_path: Path) -> None:
    torch.manual_seed(8)
    AutoencoderKL(**TINY["vae"]).save_pretrained(tmp_path / "vae")
    how = Sampling(STEPS, 7.5, "unipc")
    made = ours(files(tiny_pipeline, vae=tmp_path / "vae"), how)
    assert away(made, theirs(plain(tiny_pipeline, vae=AutoencoderKL.from_pretrained(tmp_path / "vae")), how)) < 1
    assert away(made, ours(files(tiny_pipeline), how)) > 1


@pytest.mark.parametrize("name", ["unipc", pytest.param("euler", marks=SLOW)])
def test_attention_in_slices(tiny_pipeline: Path, xl: Path, name: Scheduler) -> None:
    for folder, pipe in ((tiny_pipeline, plain(tiny_pipeline)), (xl, plain_xl(xl))):
        how = Sampling(STEPS, 5.0, name)
        pipe.enable_attention_slicing()
        assert away(ours(files(folder), how, slice_attention), theirs(pipe, how)) < 1


@pytest.mark.parametrize("share", [pytest.param(0.25, marks=SLOW), 0.5])
def test_guidance_that_ends(tiny_pipeline: Path, share: float) -> None:
    """In diffusers by a callback that drops the half of the batch that guidance needs."""
    how = Sampling(STEPS, 7.5, "euler", guidance_end=share)

    def drop(pipe: Any, step: int, _: Any, given: dict[str, Any]) -> dict[str, Any]:
        if step + 1 != round(STEPS * share):
            return {}
        pipe._guidance_scale = 0.0
        return {name: given[name].chunk(2)[1] for name in ("prompt_embeds", "image")}

    asked = {"callback_on_step_end": drop, "callback_on_step_end_tensor_inputs": ["latents", "prompt_embeds", "image"]}
    made = ours(files(tiny_pipeline), how)
    assert away(made, theirs(plain(tiny_pipeline), how, **asked)) < 1
    assert away(made, ours(files(tiny_pipeline), replace(how, guidance_end=1.0))) > 1


def test_what_guidance_leads_away_from(tiny_pipeline: Path) -> None:
    """A prompt of its own for each image of a batch, as `theirs` gives them; without any it is nothing."""
    how = Sampling(STEPS, 7.5, "unipc")
    assert away(ours(files(tiny_pipeline), how), theirs(plain(tiny_pipeline), how)) < 1
    assert away(ours(files(tiny_pipeline), how), theirs(plain(tiny_pipeline), how, ["", ""])) > 1


@pytest.mark.parametrize("guidance", [pytest.param(1.5, marks=SLOW), 8.0])
def test_a_unet_that_takes_the_guidance_as_an_input(tiny_pipeline: Path, tmp_path: Path, guidance: float) -> None:
    """As UNets distilled for few steps do: there is one pass, whatever the guidance."""
    shutil.copytree(tiny_pipeline, tmp_path / "distilled")
    torch.manual_seed(3)
    UNet2DConditionModel(**TINY["unet"], time_cond_proj_dim=16).save_pretrained(tmp_path / "distilled/unet")
    how = Sampling(STEPS, guidance, "lcm")
    made = ours(files(tmp_path / "distilled"), how)
    assert away(made, theirs(plain(tmp_path / "distilled"), how)) < 1
    assert away(made, ours(files(tmp_path / "distilled"), replace(how, guidance=4.0))) > 0


@pytest.mark.parametrize("name", [one if one in SHORT else pytest.param(one, marks=SLOW) for one in SAMPLERS])
@pytest.mark.parametrize("trailing", [pytest.param(False, marks=SLOW), True])
def test_models_that_predict_velocity(tiny_pipeline: Path, tmp_path: Path, name: Scheduler, trailing: bool) -> None:
    """As Stable Diffusion 2.1; and from pure noise, with a schedule of zero signal at its end."""
    shutil.copytree(tiny_pipeline, tmp_path / "v")
    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"} if trailing else {}
    settings(tmp_path / "v/scheduler/scheduler_config.json", prediction_type="v_prediction", **zero)
    how = Sampling(STEPS, 1.0 if SAMPLERS[name].few else 5.0, name)
    assert away(ours(files(tmp_path / "v"), how), theirs(plain(tmp_path / "v"), how)) < 1


@pytest.mark.parametrize(("family", "plus"), [("tiny_pipeline", False), ("tiny_pipeline", True), ("xl", False)])
@pytest.mark.parametrize("guidance", [pytest.param(1.0, marks=SLOW), 5.0])
def test_pictures_as_prompts(
    request: pytest.FixtureRequest, tmp_path: Path, family: str, plus: bool, guidance: float
) -> None:
    folder: Path = request.getfixturevalue(family)
    pipe = plain(folder) if family == "tiny_pipeline" else plain_xl(folder)
    adapter = ip_adapters.save_adapter(pipe.unet, tmp_path / "ip.safetensors", plus)
    encoder = ip_adapters.save_encoder(tmp_path / "image_encoder")
    pictures = ip_adapters.save_pictures(tmp_path / "pictures", 1)
    how = Sampling(STEPS, guidance, "unipc")
    made = ours(files(folder, style=(adapter, encoder, pictures, 0.7)), how)
    pipe.load_ip_adapter(
        str(tmp_path), subfolder="", weight_name="ip.safetensors", image_encoder_folder="image_encoder"
    )
    pipe.set_ip_adapter_scale(0.7)
    with PIL.Image.open(pictures / "0.png") as picture:
        wanted = theirs(pipe, how, ip_adapter_image=picture.convert("RGB"))
    assert away(made, wanted) < 1
    assert away(made, ours(files(folder), how)) > 1


@pytest.mark.parametrize("name", ["model", "unipc", "euler-a", "lcm"])
@pytest.mark.parametrize("guidance", [pytest.param(1.0, marks=SLOW), 5.0])
def test_stable_diffusion_xl(xl: Path, name: Scheduler, guidance: float) -> None:
    how = Sampling(STEPS, guidance, name, (Control(0.7, 0.5),))
    assert away(ours(files(xl), how), theirs(plain_xl(xl), how)) < 1


def test_stable_diffusion_xl_led_away_from_nothing(xl: Path) -> None:
    """Where no negative prompt is given, its pipeline takes zeros."""
    how = Sampling(STEPS, 5.0, "unipc")
    pipe = load_pipe(files(xl).inspect())
    pipe.scheduler = make_scheduler(pipe.scheduler, how.scheduler)
    asked = Asked(images(), PROMPTS, ["", ""], SEEDS)
    made = ControlNetPipeline(pipe, torch.device("cpu"), how, 2).generate(asked)
    wanted = theirs(plain_xl(xl), how, None)
    found = torch.stack([torch.from_numpy(image) for image in made]).permute(0, 3, 1, 2) / 255
    assert away(found, wanted) < 1
