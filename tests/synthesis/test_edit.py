"""Edited pictures: what may change, what stays to the bit, windows without seams, and the loop against diffusers' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from earthsynth_factory.models.denoise import Request, Sampling, Start, decode, denoise
from earthsynth_factory.models.prompt_words import PromptWords
from earthsynth_factory.models.schedulers import make_scheduler
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
    np.testing.assert_array_equal(stitched(shape, windows, [picture[w.place] for w in windows]), picture)


def test_seams_are_no_steeper_than_the_rest() -> None:
    """Windows that differ by a constant fade into one another."""
    windows = windows_of((64, 160), 64, 8)
    parts = [np.full((64, 64, 3), 100 + 20 * (place % 2), np.uint8) for place in range(len(windows))]
    steps = np.abs(np.diff(stitched((64, 160), windows, parts)[..., 0].astype(int), axis=1))
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
    request = Request(words, None, [control], [torch.Generator().manual_seed(2)], Start(latents, noise, 0.5))
    made = decode(pipe.vae, denoise(pipe, how, request))
    assert float((made - wanted).abs().max()) * 255 < 1


def test_a_source_without_pictures_is_named(tiny_pipeline: Path) -> None:
    mask = np.ones((32, 32), np.uint8)
    bare = Condition(mask, np.zeros((32, 32), np.uint16), "x", 1.0, 0, Origin("procedural", "g"))
    with pytest.raises(SourceError, match="procedural: gives masks without pictures"):
        _opened(tiny_pipeline).generate([bare], [0])
