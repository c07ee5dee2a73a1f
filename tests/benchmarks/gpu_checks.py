"""What must hold on an accelerator, tried at the end of the benchmark: each by itself, so that one failure hides none."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch

from earthsynth_factory.models.controlnet_pipeline import Asked, ControlNetPipeline
from earthsynth_factory.models.denoise import Sampling
from earthsynth_factory.models.schedulers import make_scheduler
from earthsynth_factory.training.controlnet import setup
from tests.benchmarks.budget import Budget
from tests.benchmarks.plain_loops import write_scenes
from tests.benchmarks.training import open_training, our_steps
from tests.tiny_models import TINY, make_pipeline
from tests.training.scenes import scene, text_of

if TYPE_CHECKING:
    from tests.benchmarks.gpu import Bench


def run(bench: Bench, folder: Path, budget: Budget) -> None:
    """Every check, its result noted in `bench.checks`."""
    checks: dict[str, Callable[[Bench, Path], str]] = {
        "the same batch twice": same_twice,
        "an image whatever its batch-mates and its place": whatever_the_company,
        "float32 on the device against the CPU": against_the_cpu,
        "three steps of training in bfloat16": three_steps,
        "latents are encoded once": encoded_once,
    }
    for name, check in checks.items():
        result = budget.attempt(name, 1, lambda c=check: c(bench, folder))
        bench.checks.append({"name": name, "result": result or budget.notes.get(name, "failed")})
        bench.save()


def same_twice(bench: Bench, folder: Path) -> str:
    """Bit for bit."""
    first, second = (generated(bench.pipe, bench.device, [0, 1, 2, 3], bench.size.side) for _ in range(2))
    assert np.array_equal(first, second), f"differs by up to {worst(first, second)} of 255"
    assert first.std() > 1, "the images are blank"
    return "ok: bit-equal"


def whatever_the_company(bench: Bench, folder: Path) -> str:
    """Bit for bit at a fixed shape."""
    among = generated(bench.pipe, bench.device, [0, 1, 2, 3], bench.size.side)[2]
    elsewhere = generated(bench.pipe, bench.device, [2, 5, 0, 7], bench.size.side)[0]
    assert np.array_equal(among, elsewhere), f"differs by up to {worst(among, elsewhere)} of 255"
    return "ok: bit-equal"


def against_the_cpu(bench: Bench, folder: Path) -> str:
    """A tiny pipeline, so that the CPU keeps up; the noise is drawn on the CPU for both."""
    torch.backends.cudnn.allow_tf32 = False
    made = []
    for device in (torch.device("cpu"), bench.device):
        pipe = make_pipeline(folder / "tiny", TINY).to(device)
        pipe.scheduler = make_scheduler(pipe.scheduler, "unipc")
        made.append(generated(pipe, device, [0, 1, 2, 3], 64))
    assert worst(*made) <= 3, f"differs by up to {worst(*made)} of 255"
    return f"ok: up to {worst(*made)} of 255 apart"


def three_steps(bench: Bench, folder: Path) -> str:
    """Finite, and the weights move."""
    opened = tiny_training(bench, folder)
    try:
        before = next(iter(opened.trainer.learning.values())).detach().clone()
        steps = our_steps(opened)
        outcomes = [next(steps) for _ in range(3)]
        assert all(o.fault is None and math.isfinite(o.losses["loss"]) for o in outcomes), outcomes
        moved = float((next(iter(opened.trainer.learning.values())).detach() - before).abs().max())
        assert moved > 0, "no weight has moved"
    finally:
        opened.trainer.loader.close()
    losses = ", ".join(f"{outcome.losses['loss']:.3f}" for outcome in outcomes)
    return f"ok: loss {losses}, dtype {opened.trainer.dtype}"


def encoded_once(bench: Bench, folder: Path) -> str:
    """A second opening finds every latent in the cache."""
    tiny_training(bench, folder).trainer.loader.close()
    with mock.patch("earthsynth_factory.training.controlnet.cache.LatentEncoder.encode") as encode:
        tiny_training(bench, folder).trainer.loader.close()
    assert encode.call_count == 0, f"{encode.call_count} batches were encoded again"
    return "ok: nothing encoded again"


def tiny_training(bench: Bench, folder: Path) -> setup.TrainingSetup:
    """The trainer on a tiny base, in bfloat16 if the device has it."""
    root = folder / "tiny-training"
    if not root.exists():
        make_pipeline(root / "words", TINY).save_pretrained(root / "base", safe_serialization=True)
        write_scenes(root / "data", 64, 8)
    return open_training(root, 64, 4, bench.device, compiled=False)


def generated(pipe: Any, device: torch.device, numbers: list[int], side: int) -> np.ndarray[Any, Any]:
    """Images (4, S, S, 3) of the scenes of those numbers, each with its own number as seed."""
    masks = [scene(number, side)[1] for number in numbers]
    control = torch.from_numpy(np.stack(masks)).float().div(255)[:, None].repeat(1, 3, 1, 1)
    sampling = Sampling(4, 7.5, "unipc")
    pipeline = ControlNetPipeline(pipe, device, sampling, len(numbers))
    prompts = [text_of(mask) for mask in masks]
    return np.stack(pipeline.generate(Asked([control], prompts, [""] * len(prompts), numbers)))


def worst(a: Any, b: Any) -> int:
    """Largest difference in grey levels."""
    return int(np.abs(a.astype(int) - b).max())
