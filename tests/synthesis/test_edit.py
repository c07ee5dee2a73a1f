"""Edited pictures: what may change, what stays to the bit, windows without seams, and the loop against diffusers' own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.windows import stitched, windows_of
from earthsynth_factory.models.denoise import DenoiseRequest, Sampling, Start, _begin, decode_latents, denoise
from earthsynth_factory.models.prompt_words import PromptWords
from earthsynth_factory.models.schedulers import make_scheduler, saved_scheduler
from earthsynth_factory.synthesis.edit import EditGenerator, EditSpec, feathered, may_change
from tests.tiny_models import make_pipeline


def _condition(side: int = 32, pasted: bool = True) -> Condition:
    random = np.random.default_rng(3)
    mask, instances = np.full((side, side), 4, np.uint8), np.zeros((side, side), np.uint16)
    mask[2:6, 2:6], instances[2:6, 2:6] = 21, 1  # an object of the background
    mask[14:20, 12:20], instances[14:20, 12:20] = 21, 2
    changed = (instances == 2) & pasted
    picture = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Condition(
        mask, instances, "A satellite image of road", 0.5, 1, Origin("t", "g"), picture=picture, changed=changed
    )


def _opened(folder: Path, native: int = 32, **knobs: object) -> EditGenerator:
    spec = EditSpec.model_validate({"kind": "edit", "model": str(folder), "steps": 4, "batch": 4, "rim": 3, **knobs})
    generator = spec.build(StageContext(earthsynth(), (), Path(), "cpu"))
    generator._card = generator._card.model_copy(update={"native_size": native})
    generator.open()
    return generator


@pytest.mark.parametrize("where", ["objects", "around", "background", "all"])
def test_what_may_not_change_stays_to_the_bit(tiny_pipeline: Path, where: str) -> None:
    condition = _condition()
    [image] = _opened(tiny_pipeline, where=where, strength=1.0).generate([condition], [5])
    touched = (image != condition.picture).any(axis=2)
    assert touched.any()
    assert not (touched & ~may_change(condition, where, 3)).any()  # type: ignore[arg-type]


def test_what_may_change_is_what_the_word_says() -> None:
    pasted, found = _condition(), _condition(pasted=False)
    objects = pasted.instances > 0
    assert may_change(pasted, "objects", 3)[16, 16] and not may_change(pasted, "objects", 3)[4, 4]  # that one was there
    assert may_change(found, "objects", 3)[4, 4]  # nothing was put in: all objects
    ring = may_change(pasted, "around", 3)
    assert not ring[16, 16] and ring[12, 16] and not ring[8, 16]
    np.testing.assert_array_equal(may_change(pasted, "background", 3), ~objects)
    assert may_change(pasted, "all", 3).all()


def test_feathers_lie_inside() -> None:
    region = np.zeros((30, 30), bool)
    region[5:25, 5:25] = True
    share = feathered(region, 4)
    assert (share[~region] == 0).all() and (share[region] > 0).all() and share[15, 15] == 1 and share[5, 15] < 0.3
    assert feathered(region, 0)[5, 15] == 1


def test_an_edit_does_not_depend_on_its_batch_mates(tiny_pipeline: Path) -> None:
    generator = _opened(tiny_pipeline)
    mine, other = _condition(), _condition(pasted=False)
    [alone] = generator.generate([mine], [7])
    np.testing.assert_array_equal(generator.generate([other, other, mine], [1, 2, 7])[2], alone)
    assert not np.array_equal(generator.generate([mine], [8])[0], alone)
    assert generator.describe()["kind"] == "edit"


def test_the_residual_gives_back_what_the_autoencoder_loses(tiny_pipeline: Path) -> None:
    """At a strength that hardly moves, the picture comes back with the residual and is lost without."""
    condition = _condition()
    assert condition.picture is not None
    knobs = {"where": "all", "strength": 0.05, "steps": 20, "feather": 0}
    away = []
    for residual in (True, False):
        [image] = _opened(tiny_pipeline, residual=residual, **knobs).generate([condition], [1])
        away.append(np.abs(image.astype(int) - condition.picture).mean())
    assert away[0] < 0.7 * away[1]


def test_large_pictures_are_changed_window_by_window(tiny_pipeline: Path) -> None:
    condition = _condition(64)
    generator = _opened(tiny_pipeline, native=32, where="all")
    [image] = generator.generate([condition], [5])
    assert image.shape == (64, 64, 3)
    np.testing.assert_array_equal(generator.generate([condition, condition], [9, 5])[1], image)


@pytest.mark.slow
def test_a_large_scene_has_no_seams(tiny_pipeline: Path) -> None:
    """1024 px wide, in windows of 128: what was changed steps no more at the windows' borders than elsewhere."""
    random, shape, native = np.random.default_rng(4), (160, 1024), 128
    rough = random.integers(60, 200, (4, 24, 3), dtype=np.uint8)
    picture = cv2.resize(rough, shape[::-1], interpolation=cv2.INTER_CUBIC)
    mask = cv2.resize(random.integers(1, 5, (2, 9), dtype=np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
    none = np.zeros(shape, np.uint16)
    condition = Condition(
        mask, none, "A satellite image", 0.5, 1, Origin("t", "g"), picture=picture, changed=none.astype(bool)
    )
    generator = _opened(tiny_pipeline, native=native, where="all", feather=0, steps=2, strength=0.6)
    [image] = generator.generate([condition], [5])
    change = image.astype(int) - picture
    assert np.abs(change).mean() > 2
    windows = windows_of(shape, native, generator._pipeline.factor)
    borders = sorted({edge for w in windows for edge in (w.left, w.left + w.width)} - {0, shape[1]})
    assert len(borders) >= 8
    steps = np.abs(np.diff(change, axis=1)).mean(axis=(0, 2))
    at_borders = steps[[edge - 1 for edge in borders]].mean()
    assert at_borders <= 1.1 * steps.mean()


def test_windows_without_a_change_are_left_out(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = _opened(tiny_pipeline, native=32)
    asked: list[int] = []
    real = generator._pipeline.generate

    def counted(request: Any) -> Any:
        asked.append(len(request.prompts))
        return real(request)

    monkeypatch.setattr(generator._pipeline, "generate", counted)
    large = _condition(96)
    [image] = generator.generate([large], [5])  # one object in a corner
    untouched = replace(large, instances=np.zeros_like(large.instances), changed=np.zeros_like(large.changed))
    [same] = generator.generate([untouched], [5])
    assert asked and sum(asked) <= 4 < len(windows_of((96, 96), 32, generator._pipeline.factor))
    assert (image != large.picture).any()
    np.testing.assert_array_equal(same, untouched.picture)


@pytest.mark.parametrize(
    ("steps", "strength", "level", "run"),
    [(2, 0.4, 0.43, 1), (2, 0.2, 0.2, 1), (2, 0.6, 0.6, 1), (2, 1.0, 1.0, 2), (4, 0.5, 0.5, 2), (20, 0.4, 0.5, 8)],
)
def test_strength_is_a_noise_level(steps: int, strength: float, level: float, run: int) -> None:
    """Of few steps, too, whose own levels lie far apart: two of a flow's are at 1 and 0.6."""
    settings = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 1.5}
    scheduler = saved_scheduler(settings, "here")
    pipe = SimpleNamespace(scheduler=scheduler)
    latents = torch.zeros(1, 4, 2, 2)
    start = Start(latents, torch.ones_like(latents), strength)
    request: Any = SimpleNamespace(words=SimpleNamespace(tokens=latents), start=start)
    sampling: Any = SimpleNamespace(steps=steps)
    times, noisy = _begin(pipe, sampling, request)
    assert len(times) == run
    assert float(times[0]) / 1000 == pytest.approx(level, abs=0.06)
    assert float(noisy.mean()) == pytest.approx(level, abs=0.06)  # σ of the noise of ones


@settings(deadline=None, max_examples=60)
@given(st.integers(4, 40), st.integers(4, 40), st.integers(4, 16))
def test_windows_cover_everything_and_fit_together(rows: int, columns: int, side: int) -> None:
    shape, side = (rows * 8, columns * 8), side * 8
    windows = windows_of(shape, side, 8)
    seen = np.zeros(shape, int)
    for window in windows:
        assert window.top % 8 == window.left % 8 == 0
        assert window.height == min(side, shape[0]) and window.width == min(side, shape[1])
        seen[window.place] += 1
    assert seen.shape == shape and (seen > 0).all()
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        stitched(np.zeros_like(picture), windows, [picture[w.place] for w in windows]), picture
    )


def test_seams_are_no_steeper_than_the_rest() -> None:
    """Windows that differ by a constant fade into one another."""
    windows = windows_of((64, 160), 64, 8)
    parts = [np.full((64, 64, 3), 100 + 20 * (place % 2), np.uint8) for place in range(len(windows))]
    steps = np.abs(np.diff(stitched(np.zeros((64, 160, 3), np.uint8), windows, parts)[..., 0].astype(int), axis=1))
    assert steps.max() <= 2


@pytest.mark.parametrize("name", ["unipc", "dpm++", "ddim", "euler"])
@torch.inference_mode()
def test_the_loop_is_diffusers_own(tmp_path: Path, name: Any) -> None:
    """Image-to-image from the same latents and noise as `StableDiffusionControlNetImg2ImgPipeline`, within 1/255."""
    from diffusers import StableDiffusionControlNetImg2ImgPipeline

    pipe = make_pipeline(tmp_path)
    pipe.scheduler = make_scheduler(pipe.scheduler, name)
    parts = {
        key: pipe.components[key] for key in ("vae", "text_encoder", "tokenizer", "unet", "controlnet", "scheduler")
    }
    theirs = StableDiffusionControlNetImg2ImgPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    theirs.set_progress_bar_config(disable=True)
    control = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    shape = 1, pipe.unet.config.in_channels, 32 // pipe.vae_scale_factor, 32 // pipe.vae_scale_factor
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    wanted = theirs(
        ["a road"], image=latents, control_image=control, strength=0.5, num_inference_steps=8, guidance_scale=1.0,
        controlnet_conditioning_scale=1.0, generator=torch.Generator().manual_seed(2), output_type="pt",
    ).images  # fmt: skip
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    words = PromptWords(pipe, torch.device("cpu"))(["a road"])
    how = Sampling(8, 1.0, name)
    request = DenoiseRequest(words, None, [control], [torch.Generator().manual_seed(2)], Start(latents, noise, 0.5))
    made = decode_latents(pipe.vae, denoise(pipe, how, request))
    assert float((made - wanted).abs().max()) * 255 < 1


def test_a_source_without_pictures_is_named(tiny_pipeline: Path) -> None:
    mask = np.ones((32, 32), np.uint8)
    bare = Condition(mask, np.zeros((32, 32), np.uint16), "x", 1.0, 0, Origin("procedural", "g"))
    with pytest.raises(SourceError, match="procedural: gives masks without pictures"):
        _opened(tiny_pipeline).generate([bare], [0])
