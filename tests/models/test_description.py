"""`doctor MODEL`: what a model is, told before a recipe names it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from earthsynth_factory.cli import app
from tests.models.test_layouts import inpainting, not_numbers, parts, rewrite

__all__ = ["parts"]


def doctor(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["doctor", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_a_pipeline_with_its_controlnet(tiny_pipeline: Path) -> None:
    told = doctor(str(tiny_pipeline))
    assert "of Stable Diffusion's kind, text of width 32, blocks of 16-16-32-32 channels" in told
    assert "latents: 4 channels, 8 × smaller than the image" in told
    assert "scheduler: PNDMScheduler, predicts epsilon" in told
    assert "licence: unknown; training data unknown" in told
    assert "weights: all there" in told


def test_a_base_and_a_controlnet(parts: Path) -> None:
    assert "fits the base" in doctor(str(parts / "base"), str(parts / "cn"))
    assert "ok   controlnet" not in doctor(str(parts / "base"))


def test_what_is_wrong_is_said(parts: Path) -> None:
    rewrite(parts / "cn/diffusion_pytorch_model.safetensors", not_numbers)
    assert "holds NaN; fetch the model again" in doctor(str(parts / "base"), str(parts / "cn"), code=2)
    inpainting(parts)
    assert "(an inpainting model)" in doctor(str(parts / "base"), code=2)
