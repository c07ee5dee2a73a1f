"""Large images in windows: one window is the whole, several draw one picture, and no seam shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.geometry.windows import Window, windows_of
from earthsynth_factory.models.denoise import Control, DenoiseRequest, Sampling, decode_latents, denoise
from earthsynth_factory.models.prompt_words import PromptWords
from earthsynth_factory.synthesis.controlnet import ControlNetGenerator, ControlNetSpec
from tests.tiny_models import make_pipeline

HOW = Sampling(4, 2.0, "unipc", (Control(0.8),))


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_pipeline(tmp_path_factory.mktemp("words"))


@torch.inference_mode()
def _drawn(pipe: Any, windows: list[Window], told: list[tuple[int, int]] | None = None) -> torch.Tensor:
    words = PromptWords(pipe, torch.device("cpu"))
    control = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(5))
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    request = DenoiseRequest(
        words(["a road"] * 2), words.against(["blurry"] * 2), [control], generators, windows=windows
    )
    on_step = (lambda done, total: told.append((done, total))) if told is not None else (lambda *_: None)
    return denoise(pipe, HOW, request, on_step)


def test_one_window_is_the_whole(pipe: Any) -> None:
    factor = pipe.vae_scale_factor
    whole = _drawn(pipe, [])
    one = _drawn(pipe, [Window(0, 0, 64 // factor, 96 // factor)])
    torch.testing.assert_close(one, whole, atol=1e-5, rtol=1e-5)


def test_windows_are_counted_and_change_the_picture_but_little(pipe: Any) -> None:
    factor, told = pipe.vae_scale_factor, []
    windows = windows_of((64 // factor, 96 // factor), 48 // factor, 1)
    made = _drawn(pipe, windows, told)
    assert made.isfinite().all() and made.shape == _drawn(pipe, []).shape
    done, total = told[-1]
    assert done == total >= 4 * len(windows) and total % len(windows) == 0 and len(told) >= total
    assert [one for one, _ in told] == sorted(one for one, _ in told)


@torch.inference_mode()
def test_a_large_picture_is_decoded_in_windows(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from earthsynth_factory.models import denoise as module

    latents = torch.randn(1, pipe.unet.config.in_channels, 12, 12, generator=torch.Generator().manual_seed(1))
    whole = decode_latents(pipe.vae, latents)
    monkeypatch.setattr(module, "DECODED_PIXELS", 64)
    parts = decode_latents(pipe.vae, latents, windows_of((12, 12), 8, 1))
    assert parts.shape == whole.shape and (parts - whole).abs().mean() < 0.05


@pytest.fixture(scope="module")
def town() -> Condition:
    """Fields, roads, water and houses over 320 × 320 pixels."""
    mask = np.full((320, 320), 1, np.uint8)
    mask[:, 150:166], mask[60:72] = 4, 4
    mask[200:] = 2
    mask[230:300, 20:120] = 6
    for row in range(90, 190, 25):
        for column in range(10, 310, 30):
            mask[row : row + 14, column : column + 18] = 8
    prompt = PromptWriter(earthsynth()).write(np.unique(mask).tolist(), 0.8)
    return Condition(
        mask, np.zeros(mask.shape, np.uint16), prompt, 0.8, 1, Origin("made", "made"), known_instances=False
    )


def _edges(picture: np.ndarray, axis: int) -> np.ndarray:
    """Mean step from one row (axis 0) or column (1) to the next."""
    return np.abs(np.diff(picture.astype(float).mean(axis=2), axis=axis)).mean(axis=1 - axis)


def test_no_seam_shows_where_windows_meet(town: Condition) -> None:
    spec = ControlNetSpec(model="embedded", batch=1, precision="float32")
    generator = spec.build(StageContext(earthsynth(), (8,), Path()))
    assert isinstance(generator, ControlNetGenerator)
    generator.open()
    [picture] = generator.generate([town], [7])
    [again] = generator.generate([town], [7])
    assert np.array_equal(picture, again)
    borders = {edge for one in windows_of((320, 320), 128, 8) for edge in (one.top, one.left, one.top + one.height)}
    for axis in (0, 1):
        steps = _edges(picture, axis)
        at = [edge - 1 for edge in borders if 0 < edge < 320]
        elsewhere = np.delete(steps, at)
        assert steps[at].mean() <= elsewhere.mean() + 2 * elsewhere.std() / np.sqrt(len(at))
