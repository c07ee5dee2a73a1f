"""`python -m tests.benchmarks`: a whole build against the plain loop a user would write, and memory over size.

Everything is measured in one run on one machine, so the ratios hold where the absolute figures do not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from earthsynth_factory.build.run import build
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.models.controlnet_pipeline import ControlNetPipeline
from earthsynth_factory.recipe.load import load_recipe
from tests.tiny_models import TINY, save_pipeline

IMAGES, SIDE, STEPS = 48, 128, 10

# Wide enough that the model's share is what it is with a small real model, narrow enough for a minute on a laptop.
SIZES: dict[str, Any] = {**TINY, "unet": {**TINY["unet"], "block_out_channels": (32, 64, 96, 96)}}

RECIPE = """
name: benchmark
seed: 1
image: {{size: {side}, metres_per_pixel: 0.6..1}}
categories: [{{name: storage tank, count: {images}}}]
conditions: [{{kind: procedural}}]
synthesis: {synthesis}
rfilter: {{candidates: 1, max_attempts: 4, rules: [image_quality]}}
splits: {{train: 1.0}}
exports: [coco]
engine: {{device: cpu, shard_size: 4096}}
"""


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _against_the_loop(folder)
        _memory(folder)


def _against_the_loop(folder: Path) -> None:
    save_pipeline(folder / "model", SIZES)
    recipe = folder / "recipe.yaml"
    synthesis = (
        f"{{kind: controlnet, model: {folder / 'model'}, steps: {STEPS}, guidance: 7.5, batch: 8, precision: float32}}"
    )
    recipe.write_text(RECIPE.format(side=SIDE, images=IMAGES, synthesis=synthesis))
    in_model = [0.0]
    _timed(ControlNetPipeline, "generate", in_model)
    begun: list[float] = []
    build(load_recipe(recipe), folder / "out", watch=lambda told: begun.append(time.perf_counter()))
    ours = begun[-1] - begun[0]
    loop = _plain_loop(folder / "model", BuildReader(folder / "out"), folder / "loop")
    print(f"\nBuild of {IMAGES} images, {SIDE} px, {STEPS} steps with guidance, CPU, {torch.get_num_threads()} threads")
    print("| | seconds | images/s |\n|---|---|---|")
    print(f"| plain loop (batch 1, no filter, no labels) | {loop:.1f} | {IMAGES / loop:.2f} |")
    print(f"| build (filter, labels, store) | {ours:.1f} | {IMAGES / ours:.2f} |")
    print(f"| of that in the model | {in_model[0]:.1f} | |")
    print(f"ratio {loop / ours:.2f}; time outside the model {100 * (1 - in_model[0] / ours):.1f} % of the wall")


def _plain_loop(model: Path, store: BuildReader, out: Path) -> float:
    """What the authors' demo does: one prompt, one control image at a time, UniPC, save the PNG."""
    from diffusers import StableDiffusionControlNetPipeline, UniPCMultistepScheduler

    pipe = StableDiffusionControlNetPipeline.from_pretrained(model, safety_checker=None)
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    out.mkdir()
    started = time.perf_counter()
    for record in store.samples():
        control = PIL.Image.fromarray(np.repeat(store.mask(record)[..., None], 3, axis=2))
        image = pipe(record.prompt, image=control, num_inference_steps=STEPS).images[0]
        image.save(out / f"{record.stem}.png")
    return time.perf_counter() - started


def _timed(owner: type, name: str, total: list[float]) -> None:
    real: Callable[..., Any] = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return real(*args, **kwargs)
        finally:
            total[0] += time.perf_counter() - started

    setattr(owner, name, timed)


def _memory(folder: Path) -> None:
    """Peak memory of fake builds, each in a process of its own."""
    print("\nFake builds of 64-px images, one worker\n| images | seconds | peak RSS, MB |\n|---|---|---|")
    for images in map(int, sys.argv[1:] or ("1000", "10000")):
        recipe = folder / f"fake_{images}.yaml"
        text = RECIPE.format(side=64, images=images, synthesis="{kind: fake}")
        recipe.write_text(text.replace("exports: [coco]", "exports: [{kind: coco, images: none}]"))
        out = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.peak", str(recipe), str(folder / f"out_{images}")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        figures = json.loads(out)
        print(f"| {images} | {figures['seconds']:.0f} | {figures['peak_mb']:.0f} |", flush=True)


main()
