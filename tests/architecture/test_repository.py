"""What is under version control: no large files but the weights that ship."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = 1_000_000
"""Bytes of a file without a name of its own below."""

ASSETS = {
    "earthsynth_factory/assets/embedded/clip/open_clip_model.safetensors",
    "earthsynth_factory/assets/embedded/pipeline/controlnet/diffusion_pytorch_model.safetensors",
    "earthsynth_factory/assets/embedded/pipeline/unet/diffusion_pytorch_model.safetensors",
    "earthsynth_factory/assets/embedded/pipeline/vae/diffusion_pytorch_model.safetensors",
    "earthsynth_factory/assets/embedded/segmenter/segmenter.safetensors",
}
"""The embedded models. They stay for ever in the history: think twice before one is replaced."""


def test_no_large_file_is_tracked_but_the_models_that_ship() -> None:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no checkout of git")
    names = [name for name in listed.split("\0") if name]
    large = {name for name in names if (ROOT / name).is_file() and (ROOT / name).stat().st_size > MOST}
    assert large <= ASSETS, f"{sorted(large - ASSETS)}: keep it out, or make it smaller"
