"""`python -m tests.benchmarks.gpu`: generation and training at Stable Diffusion 1.5's true size, beside the plain loops.

Random weights made on the card, so that no network and no download is needed; one process, one card, within `--budget`
seconds. Prints tables and writes OUT/gpu.json after every figure. `--size tiny` rehearses all of it on a CPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from diffusers import ControlNetModel, DDPMScheduler
from safetensors.torch import save_file

from earthsynth_factory.io.atomic import write_json
from earthsynth_factory.models.controlnet_pipeline import Asked, ControlNetPipeline, compile_networks
from earthsynth_factory.models.denoise import Control, Sampling
from earthsynth_factory.models.device import pick_dtype
from earthsynth_factory.models.inspection import BaseModel
from earthsynth_factory.models.loading import be_quiet
from earthsynth_factory.models.part import Part
from earthsynth_factory.models.registry import EARTHSYNTH_CARD
from earthsynth_factory.models.schedulers import make_scheduler
from earthsynth_factory.training.controlnet import setup
from earthsynth_factory.training.controlnet.base_model import Base
from tests.benchmarks import gpu_checks
from tests.benchmarks.budget import Budget, age, matrix_rate, peak_memory, seconds, steps_rate
from tests.benchmarks.plain_loops import Parts, demo, training_steps, write_scenes
from tests.benchmarks.training import FLOP_PER_SAMPLE, open_training, our_steps
from tests.benchmarks.whole_builds import KINDS, MODEL, build_row
from tests.tiny_models import SD15, TINY, make_pipeline
from tests.training.scenes import scene, text_of

CHECKS = 30.0
"""Seconds kept for the checks at the end."""

UNET, CONTROLNET, DECODER = 803e9, 283e9, 2514e9
"""FLOP of one evaluation for one image of 512 px, counted."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is measured: networks, side in pixels, denoising steps, images of the plain loop, batches (the main one first)."""

    networks: dict[str, Any]
    side: int
    steps: int
    plain: int
    batches: tuple[int, ...]
    training_batch: int
    training_steps: int
    matrix: int
    compiling: float
    """Seconds without which compiling the networks is not begun."""
    builds: int
    """Images that a whole build makes."""


SIZES = {
    "sd15": Size(SD15, 512, 20, 4, (32, 16), 16, 4, 8192, 45, 768),
    "tiny": Size(TINY, 64, 4, 2, (4, 2), 4, 2, 512, 20, 24),
}


@dataclass(slots=True)
class Bench:
    """The measurement under way. rows, training: one table line each."""

    size: Size
    device: torch.device
    budget: Budget
    out: Path
    pipe: Any = None
    facts: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    training: list[dict[str, Any]] = field(default_factory=list)
    builds: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)

    def save(self) -> None:
        """What there is so far: a run that is killed leaves its figures."""
        told = {"facts": self.facts, "generation": self.rows, "training": self.training}
        told |= {"builds": self.builds, "checks": self.checks}
        write_json(self.out / "gpu.json", {**told, "notes": self.budget.notes, "seconds": self.budget.took})

    @property
    def dtype(self) -> torch.dtype:
        return pick_dtype("auto", self.device)

    def sampling(self, **changes: Any) -> Sampling:
        """As the authors' demo samples, but for the changes."""
        return replace(Sampling(self.size.steps, 7.5, "unipc"), **changes)


def main() -> None:
    """Measure, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="sd15")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--budget", type=float, default=600, help="seconds in all, imports included")
    parser.add_argument("--out", type=Path, default=Path("out/bench-gpu"))
    given = parser.parse_args()
    bench = Bench(SIZES[given.size], torch.device(given.device), Budget(given.budget - CHECKS - age()), given.out)
    be_quiet()
    bench.facts = facts(given.size, bench.device)
    with tempfile.TemporaryDirectory() as name:
        try:
            measure(bench, Path(name))
        except Exception as error:  # the checks are still worth having
            bench.budget.notes["measuring ended"] = f"{type(error).__name__}: {error}"
        gpu_checks.run(bench, Path(name), Budget(CHECKS + max(0, bench.budget.left())))
    bench.save()
    print(tables(bench), flush=True)
    os._exit(0)  # the compiler's workers would be waited for, minutes after the time given


def facts(size: str, device: torch.device) -> dict[str, Any]:
    """Which machine and which libraries."""
    import diffusers
    import transformers

    gpu = device.type == "cuda"
    return {
        "size": size,
        "card": torch.cuda.get_device_name(device) if gpu else platform.processor() or platform.machine(),
        "memory_gb": round(torch.cuda.get_device_properties(device).total_memory / 1e9, 1) if gpu else None,
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def measure(bench: Bench, folder: Path) -> None:
    """Every row; the cheap and certain ones first."""
    budget, size = bench.budget, bench.size
    bench.pipe = budget.attempt("random networks", 5, lambda: random_pipeline(folder / "base", size, bench.device))
    if bench.pipe is None:
        return
    rate = budget.attempt("matrix products", 2, lambda: matrix_rate(bench.device, bench.dtype, size.matrix))
    bench.facts["matrix_tflops"] = round(rate / 1e12, 1) if rate else None
    budget.attempt("plain loop", 12, lambda: plain_row(bench, "plain loop: fp16, batch 1"))
    to_ours(bench)
    budget.attempt("the networks as a folder", 15, lambda: bench.pipe.save_pretrained(folder / MODEL))
    main_batch, other = size.batches
    eager = "ours, not compiled, batch"
    budget.attempt(f"{eager} {main_batch}", 12, lambda: our_row(bench, f"{eager} {main_batch}", main_batch))
    train(bench, folder)
    budget.attempt(f"{eager} {other}", 8, lambda: our_row(bench, f"{eager} {other}", other))
    budget.attempt("fused projections", 12, lambda: fused_row(bench))
    budget.attempt("plain loop, offload", 15, lambda: offload_row(bench, folder))
    compiled_rows(bench)
    for name in KINDS:
        budget.attempt(f"build, {name}", size.compiling + 20, partial(build_row, bench, folder, name))


def random_pipeline(folder: Path, size: Size, device: torch.device) -> Any:
    """A pipeline with random weights, its layers made on the device itself."""
    with torch.device(device):
        pipe = make_pipeline(folder / "words", size.networks)
    steady(pipe)
    pipe.scheduler = make_scheduler(pipe.scheduler, "unipc")
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float16 if device.type == "cuda" else torch.float32)


@torch.no_grad()
def steady(pipe: Any) -> None:
    """Weights that keep the numbers of a true-size network in range: zeros and infinities are quicker to multiply."""
    control = pipe.controlnet
    for layer in (*control.controlnet_down_blocks, control.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.3 / layer.weight.shape[1] ** 0.5)
    for name, weight in pipe.unet.named_parameters():
        if name.endswith("attn2.to_out.0.weight"):
            weight /= 20


def to_ours(bench: Bench) -> None:
    """As `load_pipeline` lays the networks out."""
    bench.pipe.to(bench.device, bench.dtype)
    for network in (bench.pipe.unet, bench.pipe.controlnet, bench.pipe.vae):
        network.to(memory_format=torch.channels_last)


def masks_and_prompts(bench: Bench, count: int) -> tuple[list[Any], list[str]]:
    """Class-id masks and what they are called."""
    masks = [scene(number, bench.size.side)[1] for number in range(count)]
    return masks, [text_of(mask) for mask in masks]


def controls(masks: Sequence[Any]) -> torch.Tensor:
    """Raw ids as the control image, (B, 3, S, S)."""
    return torch.from_numpy(np.stack(masks)).float().div(255)[:, None].repeat(1, 3, 1, 1)


def plain_row(bench: Bench, name: str) -> None:
    """The demo's loop; the first image warms up."""
    masks, prompts = masks_and_prompts(bench, bench.size.plain)
    demo(bench.pipe, prompts[:1], masks[:1], 3)
    with peak_memory(bench.device) as peak:
        took = seconds(bench.device, lambda: demo(bench.pipe, prompts, masks, bench.size.steps))
        add_row(bench, name, len(prompts) / took, bench.sampling(), peak())


def our_row(bench: Bench, name: str, batch: int, warm: bool = True, **changes: Any) -> None:
    """One full batch through the build's own code, from control images to pixels in memory."""
    masks, prompts = masks_and_prompts(bench, batch)
    asked = Asked([controls(masks)], prompts, [""] * batch, range(batch))
    sampling = bench.sampling(**changes)
    if warm:
        short = replace(sampling, steps=2)
        ControlNetPipeline(bench.pipe, bench.device, short, batch).generate(asked)
    pipeline = ControlNetPipeline(bench.pipe, bench.device, sampling, batch)
    with peak_memory(bench.device) as peak:
        took = seconds(bench.device, lambda: pipeline.generate(asked))
        add_row(bench, name, batch / took, sampling, peak(), **({"reduced": r} if (r := pipeline.reductions) else {}))


def add_row(bench: Bench, name: str, rate: float, sampling: Sampling, peak: float | None, **more: Any) -> None:
    """Notes a line of the generation table."""
    matrix = bench.facts.get("matrix_tflops")
    floor = matrix * 1e12 / flop(sampling) if matrix and bench.size.side == 512 else None
    row = {"name": name, "images_per_s": rate, "floor_images_per_s": floor, "peak_gb": peak, **asdict(sampling), **more}
    bench.rows.append(row)
    bench.save()


def flop(sampling: Sampling) -> float:
    """FLOP that an image of 512 px needs under `sampling`, counted over the steps as the loop runs them."""
    steps = sampling.steps
    guided = sum(place / steps < sampling.guidance_end for place in range(steps)) if sampling.guided else 0
    acts = [(place + 1) / steps <= sampling.controls[0].end for place in range(steps)]
    passes = [2 if place < guided else 1 for place in range(steps)]
    return DECODER + sum(p * (UNET + CONTROLNET * act) for p, act in zip(passes, acts, strict=True))


def compiled_rows(bench: Bench) -> None:
    """Whole networks compiled, then what leaving guidance and control out early gives on the same compiled networks."""
    budget, batch, compiling = bench.budget, bench.size.batches[0], bench.size.compiling
    compile_networks(bench.pipe)
    name = f"ours, compiled whole, batch {batch}"
    budget.attempt(f"{name} (compiling included)", compiling, lambda: our_row(bench, name, batch))
    if bench.rows and bench.rows[-1]["name"] == name:
        shorter = {
            "guidance on half of the steps": {"guidance_end": 0.5},
            "guidance on half, control on 60 %": {"guidance_end": 0.5, "controls": (Control(end=0.6),)},
            "12 steps, guidance on half": {"steps": 12, "guidance_end": 0.5},
            "4 steps, no guidance (few-step LoRAs)": {"steps": 4, "guidance": 1.0},
        }
        for told, changes in shorter.items():
            budget.attempt(told, 6, partial(our_row, bench, f"– {told}", batch, warm=False, **changes))
        budget.attempt("profile", 12, lambda: profile(bench, batch))
    uncompiled(bench.pipe)
    bench.pipe.unet.compile_repeated_blocks(fullgraph=True)
    bench.pipe.controlnet.compile(fullgraph=True)
    name = f"ours, UNet compiled block by block, batch {batch}"
    budget.attempt(name, compiling / 2, lambda: our_row(bench, name, batch))
    uncompiled(bench.pipe)


def profile(bench: Bench, batch: int) -> None:
    """Where the time of three steps goes, by kernel, into OUT/profile.txt."""
    masks, prompts = masks_and_prompts(bench, batch)
    pipeline = ControlNetPipeline(bench.pipe, bench.device, bench.sampling(steps=3), batch)
    with torch.profiler.profile(activities=torch.profiler.supported_activities()) as seen:
        pipeline.generate(Asked([controls(masks)], prompts, [""] * batch, range(batch)))
    by = "device_time_total" if bench.device.type == "cuda" else "cpu_time_total"
    table = seen.key_averages().table(sort_by=f"self_{by}", row_limit=40, max_name_column_width=90)
    (bench.out / "profile.txt").write_text(table)


def uncompiled(pipe: Any) -> None:
    """Undoes `compile` in place."""
    for network in (pipe.unet, pipe.controlnet, pipe.vae.decoder):
        for module in network.modules():
            module._compiled_call_impl = None


def fused_row(bench: Bench) -> None:
    """Query, key and value in one product."""
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0, FusedAttnProcessor2_0

    networks, batch = (bench.pipe.unet, bench.pipe.controlnet), bench.size.batches[0]
    for network in networks:
        for module in network.modules():
            if isinstance(module, Attention):
                module.fuse_projections(fuse=True)
        network.set_attn_processor(FusedAttnProcessor2_0())
    try:
        our_row(bench, f"ours, not compiled, projections fused, batch {batch}", batch)
    finally:
        for network in networks:
            network.set_attn_processor(AttnProcessor2_0())


def offload_row(bench: Bench, folder: Path) -> None:
    """The demo as the authors wrote it, with its parts moved on and off the card; a pipeline of its own, lest hooks stay."""
    ours, bench.pipe = bench.pipe, random_pipeline(folder / "offloaded", bench.size, bench.device)
    try:
        bench.pipe.to("cpu")
        if bench.device.type == "cuda":
            bench.pipe.enable_model_cpu_offload()
        plain_row(bench, "plain loop: fp16, batch 1, parts offloaded to the CPU")
    finally:
        bench.pipe = ours


def train(bench: Bench, folder: Path) -> None:
    """The trainer's step beside the stock script's."""
    size, budget = bench.size, bench.budget
    budget.attempt("scenes", 5, lambda: write_scenes(folder / "data", size.side, 2 * size.training_batch))
    budget.attempt("training, plain", 15, lambda: plain_training(bench, folder))
    free(bench)
    budget.attempt("training, ours", 15, lambda: our_training(bench, folder, compiled=False))
    free(bench)


def plain_training(bench: Bench, folder: Path) -> None:
    """Frozen parts in bfloat16, the ControlNet in float32 under autocast."""
    pipe = bench.pipe
    noising = DDPMScheduler.from_config(pipe.scheduler.config)
    with torch.device(bench.device):
        control = ControlNetModel.from_unet(pipe.unet).float().train()
    unet = pipe.unet.requires_grad_(False)
    parts = Parts(pipe.vae, pipe.text_encoder, pipe.tokenizer, unet, noising, control)
    steps = training_steps(parts, folder / "data", bench.size.side, bench.size.training_batch, bench.device)
    training_row(bench, "plain loop: bf16 autocast, encodes in every step", steps)


def our_training(bench: Bench, folder: Path, compiled: bool) -> None:
    """The trainer's own step, latents and prompts cached first; the time for that is noted, not counted."""
    base = base_of_pipe(bench.pipe, folder / "base")
    with mock.patch.object(setup, "load_base", lambda *_: base):
        opened = open_training(folder, bench.size.side, bench.size.training_batch, bench.device, compiled=compiled)
    try:
        training_row(bench, f"ours{', compiled' if compiled else ''}: latents cached", our_steps(opened))
    finally:
        opened.trainer.loader.close()


def training_row(bench: Bench, name: str, steps: Any) -> None:
    """Notes a line of the training table."""
    size = bench.size
    with peak_memory(bench.device) as peak:
        rate = size.training_batch * steps_rate(steps, size.training_steps, 2, bench.device)
        matrix = bench.facts.get("matrix_tflops")
        floor = matrix * 1e12 / FLOP_PER_SAMPLE if matrix and size.side == 512 else None
        row = {"name": name, "samples_per_s": rate, "floor_samples_per_s": floor, "peak_gb": peak()}
    bench.training.append({**row, "batch": size.training_batch})
    bench.save()


def base_of_pipe(pipe: Any, folder: Path) -> Base:
    """The pipeline's parts as the trainer opens a base: UNet and ControlNet of their own, the frozen encoders shared."""
    settings = {**pipe.scheduler.config, "_class_name": "UniPCMultistepScheduler"}
    parts = {name: _stand_in(folder / name) for name in ("unet", "vae", "text_encoder")}
    files = BaseModel(folder, parts["unet"], parts["vae"], parts["text_encoder"], settings, None)
    with torch.device(pipe.device):
        unet = type(pipe.unet).from_config(pipe.unet.config)
        unet.load_state_dict(pipe.unet.state_dict())
        control = ControlNetModel.from_unet(unet)
    card = EARTHSYNTH_CARD.model_copy(update={"name": "random"})
    return Base(files, pipe.vae, pipe.text_encoder, pipe.tokenizer, unet, control, settings, card)


def _stand_in(folder: Path) -> Part:
    """A file for the caches to be named after: they take its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"stand-in": torch.zeros(1)}, folder / "random.safetensors")
    return Part(folder, {}, (folder / "random.safetensors",))


def free(bench: Bench) -> None:
    """Lets go of what the last row held."""
    gc.collect()
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()


def tables(bench: Bench) -> str:
    """Markdown."""
    told, size = bench.facts, bench.size
    plain, loop = _of_the_loop(bench.rows, "images_per_s"), _of_the_loop(bench.training, "samples_per_s")
    libraries = ", ".join(f"{name} {told[name]}" for name in ("torch", "diffusers"))
    head = f"{told['card']}, {libraries}; bf16 matrix products {told.get('matrix_tflops')} TFLOP/s"
    lines = [
        f"\n{head}\n\nGeneration, {size.side} px, {size.steps} steps, guidance 7.5, random weights of {told['size']}",
        "| | images/s | of the plain loop | of its floor | peak GB |\n|---|---|---|---|---|",
        *(_line(row, "images_per_s", plain) for row in bench.rows),
        f"\nControlNet training, {size.side} px, batch {size.training_batch}, UNet frozen",
        "| | samples/s | of the plain loop | of its floor | peak GB |\n|---|---|---|---|---|",
        *(_line(row, "samples_per_s", loop) for row in bench.training),
        "\nWhole builds, 4 steps, no guidance, from the recipe to files on the disk",
        "| conditions | images/s | the networks' own, while they are at work | time they are at work |\n|---|---|---|---|",
        *(
            f"| {row['name']} | {row['images_per_s']:.2f} | {row['networks_images_per_s']:.2f} | {row['at_work']:.0%} |"
            for row in bench.builds
        ),
        "\n| check | |\n|---|---|",
        *(f"| {check['name']} | {check['result']} |" for check in bench.checks),
        *(f"{name}: {note}" for name, note in bench.budget.notes.items()),
        "seconds: " + json.dumps(bench.budget.took),
    ]
    return "\n".join(lines)


def _of_the_loop(rows: Sequence[dict[str, Any]], unit: str) -> float | None:
    return next((row[unit] for row in rows if row["name"].startswith("plain loop")), None)


def _line(row: dict[str, Any], unit: str, plain: float | None) -> str:
    rate, floor, peak = row[unit], row[f"floor_{unit}"], row["peak_gb"]
    share = f"{rate / floor:.0%} of {floor:.1f}" if floor else "–"
    against = f"{rate / plain:.2f} ×" if plain else "–"
    return f"| {row['name']} | {rate:.2f} | {against} | {share} | {f'{peak:.1f}' if peak else '–'} |"


if __name__ == "__main__":
    main()
