"""`python -m tests.benchmarks.training [--sd15] [--device cuda]`: our trainer against a plain loop, and what pasting costs.

The plain loop works as diffusers' stock script for ControlNets does: decode, resize, encode image and prompt in every step,
one process, frozen parts in the computing precision. Same model, data, batch, precision and machine, in one run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDPMScheduler, UNet2DConditionModel
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from earthsynth_factory.datasets.prepared.train_list import read_train_list
from earthsynth_factory.models.device import pick_dtype
from earthsynth_factory.models.weights import EMBEDDED
from earthsynth_factory.training.controlnet.distributed import Team
from earthsynth_factory.training.controlnet.setup import TrainingSetup, open_run
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe
from earthsynth_factory.training.controlnet.trainer import StepResult
from tests.benchmarks.budget import matrix_rate, steps_rate
from tests.benchmarks.plain_loops import Parts, picture, training_steps, write_scenes
from tests.tiny_models import SD15, TINY, save_pipeline

SMALL: dict[str, Any] = {
    **TINY,
    "unet": {**TINY["unet"], "block_out_channels": (32, 64, 96, 96)},
    "vae": {**TINY["vae"], "block_out_channels": (32, 64, 64, 64)},
}
SCENES, WARM = 48, 2

FLOP_PER_SAMPLE = 2.27e12
"""A step of Stable Diffusion 1.5's ControlNet at 512 px with latents and prompts cached, UNet frozen; counted."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sd15", action="store_true", help="Stable Diffusion 1.5's true size, random weights, 512 px")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int)
    given = parser.parse_args()
    size, batch = (512, given.batch or 16) if given.sd15 else (128, given.batch or 8)
    device = torch.device(given.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_pipeline(folder / "base", SD15 if given.sd15 else SMALL)
        write_scenes(folder / "data", size, SCENES)
        _against_the_loop(folder, size, batch, given.steps, device)
        _pasting(folder / "data")


def _against_the_loop(folder: Path, size: int, batch: int, steps: int, device: torch.device) -> None:
    dtype = pick_dtype("auto", device)
    plain = training_steps(_parts(folder / "base", device, dtype), folder / "data", size, batch, device)
    rows = {"plain loop": batch * steps_rate(plain, steps, WARM, device)}
    for mode in ("off", "cf-comp"):
        opened = open_training(folder, size, batch, device, mode)
        rows[f"ours, CF-Comp {mode}"] = batch * steps_rate(our_steps(opened), steps, WARM, device)
        opened.trainer.loader.close()
    loop = rows["plain loop"]
    print(f"\nControlNet training, {size} px, batch {batch}, {dtype}, {device}, {torch.get_num_threads()} threads")
    print("| | samples/s | of the plain loop |\n|---|---|---|")
    for name, rate in rows.items():
        print(f"| {name} | {rate:.2f} | {rate / loop:.2f} × |")
    if size == 512:
        floor = matrix_rate(device, dtype) / FLOP_PER_SAMPLE
        print(
            f"floor by matrix products alone: {floor:.0f} samples/s; ours {rows['ours, CF-Comp off'] / floor:.0%} of it"
        )


def open_training(
    folder: Path, size: int, batch: int, device: torch.device, mode: str = "off", compiled: bool | None = None
) -> TrainingSetup:
    """Our trainer on `folder`/data and `folder`/base, its latents cached in `folder`/ours. compiled: None is its default."""
    recipe = ControlNetRecipe.model_validate(
        {"name": "benchmark", "size": size, "data": {"path": str(folder / "data"), "held_out": 0},
         "model": {"base": str(folder / "base")}, "optim": {"batch": batch}, "cf_comp": {"mode": mode},
         "loss": {"local": 0.5 if mode != "off" else 0}, "run": {"compile": compiled}}
    )  # fmt: skip
    return open_run(recipe, folder, folder / "ours", Team(0, 1, device), lambda what, done, total: None)


def our_steps(opened: TrainingSetup) -> Iterator[StepResult]:
    """Steps without end."""
    number = 0
    while True:
        yield opened.trainer.step(number, number * opened.trainer.stride)
        number += 1


def _parts(base: Path, device: torch.device, dtype: torch.dtype) -> Parts:
    frozen = {"torch_dtype": dtype}
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet", **frozen).to(device).requires_grad_(False)
    return Parts(
        vae=AutoencoderKL.from_pretrained(base, subfolder="vae", **frozen).to(device).requires_grad_(False),
        text=CLIPTextModel.from_pretrained(base / "text_encoder", dtype=dtype).to(device).requires_grad_(False),
        tokenizer=CLIPTokenizer.from_pretrained(base / "tokenizer"),
        unet=unet,
        noising=DDPMScheduler.from_pretrained(base, subfolder="scheduler"),
        control=ControlNetModel.from_unet(unet).float().to(device).train(),
    )


@torch.no_grad()
def _pasting(data: Path) -> None:
    """How far a paste of latent cells is from the latent of the paste, for the embedded autoencoder and a random one."""
    records, _ = read_train_list(data)
    base, donor = (picture(record.image, 128)[None] * 2 - 1 for record in records[:2])
    torch.manual_seed(0)
    print("\nPasting in latent cells against encoding the paste: error as a share of the latents' deviation")
    print("| autoencoder | cells at the border of the region | cells away from it |\n|---|---|---|")
    convolutional = AutoencoderKL(**SMALL["vae"]).eval()
    for name, vae in (("embedded", _embedded_vae()), ("Stable Diffusion's shape, small, random", convolutional)):
        border, away = _paste_error(vae, base, donor)
        print(f"| {name} | {border:.3f} | {away:.4f} |")


def _embedded_vae() -> Any:
    return AutoencoderKL.from_pretrained(EMBEDDED / "pipeline", subfolder="vae", torch_dtype=torch.float32).eval()


def _paste_error(vae: Any, base: torch.Tensor, donor: torch.Tensor) -> tuple[float, float]:
    region = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    region[..., 36:92, 36:92] = True  # its edges cut through cells
    cells = F.adaptive_avg_pool2d(region.float(), 16)
    mixed, inside, outside = (vae.encode(x).latent_dist.mode() for x in (torch.where(region, donor, base), donor, base))
    pasted = torch.where(cells >= 0.5, inside, outside)
    error = ((pasted - mixed).square().mean(1, keepdim=True).sqrt() / mixed.std()).flatten()
    near = (F.max_pool2d(cells, 3, 1, 1) > F.max_pool2d(1 - cells, 3, 1, 1) - 1) & (
        F.max_pool2d(cells, 3, 1, 1) + F.max_pool2d(1 - cells, 3, 1, 1) > 1
    )
    return float(error[near.flatten()].mean()), float(error[~near.flatten()].mean())


if __name__ == "__main__":
    main()
