"""The denoising loop against diffusers' own pipeline, and what is left out where guidance or control has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from earthsynth_factory.models.card import Scheduler
from earthsynth_factory.models.controlnet_pipeline import compile_networks
from earthsynth_factory.models.denoise import Control, DenoiseRequest, Sampling, decode_latents, denoise
from earthsynth_factory.models.prompt_words import PromptWords
from earthsynth_factory.models.schedulers import SAMPLERS, make_scheduler
from tests.tiny_models import make_pipeline

STEPS = 6


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = make_pipeline(tmp_path_factory.mktemp("words"))
    made.set_progress_bar_config(disable=True)
    return made


def sampling(scheduler: Scheduler = "unipc", guidance: float = 7.5, **ends: float) -> Sampling:
    """ends: `guidance_end`, `control_end`."""
    control = Control(0.8, ends.pop("control_end", 1.0))
    return Sampling(STEPS, guidance, scheduler, (control,), **ends)


def control() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in (3, 4)]


@torch.inference_mode()
def ours(pipe: Any, how: Sampling) -> torch.Tensor:
    words = PromptWords(pipe, torch.device("cpu"))
    unguided = words.against(["blurry"] * 2) if how.guided else None
    request = DenoiseRequest(words(["a road"] * 2), unguided, [control()], generators())
    return decode_latents(pipe.vae, denoise(pipe, how, request))


def theirs(pipe: Any, how: Sampling) -> torch.Tensor:
    made = pipe(
        ["a road"] * 2, negative_prompt=["blurry"] * 2, image=control(), generator=generators(), output_type="pt",
        num_inference_steps=how.steps, eta=0.3 * (how.scheduler == "tcd"),
        guidance_scale=how.guidance, controlnet_conditioning_scale=how.controls[0].scale,
        control_guidance_end=how.controls[0].end,
    )  # fmt: skip
    return made.images


def away(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.detach() - b.detach()).abs().max()) * 255


@pytest.mark.parametrize("guidance", [pytest.param(1.0, marks=pytest.mark.slow), 7.5])
@pytest.mark.parametrize("name", ["model", *SAMPLERS])
def test_it_is_diffusers_image(pipe: Any, name: Scheduler, guidance: float) -> None:
    own = pipe.scheduler
    pipe.scheduler = make_scheduler(own, name)
    try:
        how = sampling(name, guidance)
        assert away(ours(pipe, how), theirs(pipe, how)) < 1
    finally:
        pipe.scheduler = own


def test_a_control_that_ends_is_diffusers_and_is_not_run_any_more(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    how = sampling("model", control_end=0.5)
    runs = counted(pipe.controlnet, monkeypatch)
    mine = ours(pipe, how)
    steps = len(pipe.scheduler.timesteps)
    assert len(runs) == 2 * (steps // 2) + 1, "and once for the shapes of nothing"
    assert away(mine, theirs(pipe, how)) < 1
    assert away(mine, ours(pipe, sampling("model"))) > 1


def test_guidance_that_ends_saves_its_passes(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = counted(pipe.unet, monkeypatch)
    half = ours(pipe, sampling("model", guidance_end=0.5))
    steps = len(pipe.scheduler.timesteps)
    assert len(runs) == steps + -(-steps // 2)
    assert away(half, ours(pipe, sampling("model"))) > 1
    assert away(ours(pipe, sampling("model", guidance_end=0)), ours(pipe, sampling("model", guidance=1.0))) == 0


def test_decoding_in_parts_is_decoding_at_once(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    latents = torch.randn(6, 4, 4, 4)
    whole = decode_latents(pipe.vae, latents)
    monkeypatch.setattr("earthsynth_factory.models.denoise.DECODED_PIXELS", 4 * 32 * 32)
    sizes: list[int] = []
    real = pipe.vae.decode
    monkeypatch.setattr(pipe.vae, "decode", lambda z, **knobs: sizes.append(len(z)) or real(z, **knobs))
    assert away(decode_latents(pipe.vae, latents), whole) < 0.01
    assert sizes == [3, 3], "parts of one shape"


def counted(network: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    runs: list[int] = []
    real = network.forward

    def forward(*args: Any, **knobs: Any) -> Any:
        runs.append(1)
        return real(*args, **knobs)

    monkeypatch.setattr(network, "forward", forward)
    return runs


@pytest.mark.slow
def test_compiled_networks_see_one_shape_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With guidance and control that end on the way: a second compilation would cost a minute on a GPU."""
    pipe = make_pipeline(tmp_path)
    for network in (pipe.unet, pipe.controlnet, pipe.vae):
        network.to(memory_format=torch.channels_last)
    how = sampling("unipc", guidance_end=0.5, control_end=0.5)
    expected = ours(pipe, how)
    torch._dynamo.reset()
    graphs: list[Any] = []
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *args, **knobs: real(*args, backend=counting(graphs), **knobs))
    compile_networks(pipe)
    assert away(ours(pipe, how), expected) < 0.01
    assert away(ours(pipe, sampling("unipc")), expected) > 1
    assert len(graphs) == 3, "the UNet's, the ControlNet's, the decoder's"


def counting(graphs: list[Any]) -> Any:
    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    return backend
