"""`python -m tests.benchmarks.training [--sd15] [--device cuda]`: our trainer against a plain loop, and what pasting costs.

The plain loop works as diffusers' stock script for ControlNets does: decode, resize, encode image and prompt in every step,
one process, frozen parts in the computing precision. Same model, data, batch, precision and machine, in one run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDPMScheduler, UNet2DConditionModel
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.models.device import pick_dtype
from earthsynth_factory.models.weights import EMBEDDED
from earthsynth_factory.training.controlnet.distributed import Team
from earthsynth_factory.training.controlnet.setup import Opened, open_run
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe
from earthsynth_factory.training.controlnet.train_jsonl import Record, read_records
from tests.tiny_models import SD15, TINY, save_pipeline
from tests.training.scenes import scene, text_of

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
        _write_scenes(folder / "data", size)
        _against_the_loop(folder, size, batch, given.steps, device)
        _pasting(folder / "data")


def _write_scenes(root: Path, size: int) -> None:
    """Noise with class bands: as costly to decode as imagery is."""
    lines = []
    for number in range(SCENES):
        _, mask = scene(number, size)
        image = np.random.default_rng(number).integers(0, 255, (size, size, 3), dtype=np.uint8)
        write_bytes(root / f"images/A_{number}_0.png", encode_png(image))
        write_bytes(root / f"masks/A_{number}_0.png", encode_png(mask))
        lines.append(
            f'{{"file_name": "images/A_{number}_0.png", "mask_name": "masks/A_{number}_0.png", "text": "{text_of(mask)}"}}'
        )
    (root / "train.jsonl").write_text("\n".join(lines) + "\n")


def _against_the_loop(folder: Path, size: int, batch: int, steps: int, device: torch.device) -> None:
    dtype = pick_dtype("auto", device)
    rows = {"plain loop": _timed(_plain_steps(folder, size, batch, device, dtype), steps, batch, device)}
    for mode in ("off", "cf-comp"):
        opened = _opened(folder, size, batch, device, mode)
        rows[f"ours, CF-Comp {mode}"] = _timed(_our_steps(opened), steps, batch, device)
        opened.stage.loader.close()
    loop = rows["plain loop"]
    print(f"\nControlNet training, {size} px, batch {batch}, {dtype}, {device}, {torch.get_num_threads()} threads")
    print("| | samples/s | of the plain loop |\n|---|---|---|")
    for name, rate in rows.items():
        print(f"| {name} | {rate:.2f} | {rate / loop:.2f} × |")
    if size == 512:
        floor = _matrix_rate(device, dtype) / FLOP_PER_SAMPLE
        print(
            f"floor by matrix products alone: {floor:.0f} samples/s; ours {rows['ours, CF-Comp off'] / floor:.0%} of it"
        )


def _matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP a second that this device makes in large matrix products."""
    side = 8192
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    for repeats in (2, 20):
        _settle(device)
        started = time.perf_counter()
        for _ in range(repeats):
            a @ b
        _settle(device)
    return repeats * 2 * side**3 / (time.perf_counter() - started)


def _timed(steps: Iterator[None], count: int, batch: int, device: torch.device) -> float:
    """Samples a second over `count` steps, after some that warm up."""
    for _ in range(WARM):
        next(steps)
    _settle(device)
    started = time.perf_counter()
    for _ in range(count):
        next(steps)
    _settle(device)
    return count * batch / (time.perf_counter() - started)


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _opened(folder: Path, size: int, batch: int, device: torch.device, mode: str) -> Opened:
    recipe = ControlNetRecipe.model_validate(
        {"name": "benchmark", "size": size, "data": {"path": str(folder / "data"), "held_out": 0},
         "model": {"base": str(folder / "base")}, "optim": {"batch": batch}, "cf_comp": {"mode": mode},
         "loss": {"local": 0.5 if mode != "off" else 0}}
    )  # fmt: skip
    return open_run(recipe, folder, folder / "ours", Team(0, 1, device), lambda what, done, total: None)


def _our_steps(opened: Opened) -> Iterator[None]:
    number = 0
    while True:
        opened.stage.step(number, number * opened.stage.stride)
        number += 1
        yield


def _plain_steps(folder: Path, size: int, batch: int, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    base = folder / "base"
    frozen = {"torch_dtype": dtype}
    vae = AutoencoderKL.from_pretrained(base, subfolder="vae", **frozen).to(device).requires_grad_(False)
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet", **frozen).to(device).requires_grad_(False)
    text = CLIPTextModel.from_pretrained(base / "text_encoder", dtype=dtype).to(device).requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    noising = DDPMScheduler.from_pretrained(base, subfolder="scheduler")
    control = ControlNetModel.from_unet(unet).float().to(device).train()
    optimizer = torch.optim.AdamW(control.parameters(), lr=1e-5)
    records, _ = read_records(folder / "data")
    while True:
        order = torch.randperm(len(records)).tolist()
        for first in range(0, len(order) - batch + 1, batch):
            some = [records[place] for place in order[first : first + batch]]
            pixels = torch.stack([_picture(r.image, size) * 2 - 1 for r in some]).to(device, dtype)
            masks = torch.stack([_picture(r.mask, size) for r in some]).to(device, dtype)
            words = _words(some, text, tokenizer, device)
            latents = vae.encode(pixels).latent_dist.sample() * vae.config.scaling_factor
            noise = torch.randn_like(latents)
            times = torch.randint(0, 1000, (batch,), device=device)
            noisy = noising.add_noise(latents.float(), noise.float(), times).to(dtype)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                down, middle = control(noisy, times, words, masks, return_dict=False)
                residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
                predicted = unet(noisy, times, words, **residuals).sample
            F.mse_loss(predicted.float(), noise.float()).backward()
            torch.nn.utils.clip_grad_norm_(control.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            yield


def _picture(path: Path, size: int) -> torch.Tensor:
    with PIL.Image.open(path) as image:
        resized = image.convert("RGB").resize((size, size), PIL.Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255


def _words(some: list[Record], text: Any, tokenizer: Any, device: torch.device) -> torch.Tensor:
    ids = tokenizer(
        [record.text for record in some], padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    )
    return text(ids.input_ids.to(device))[0]


@torch.no_grad()
def _pasting(data: Path) -> None:
    """How far a paste of latent cells is from the latent of the paste, for the embedded autoencoder and a random one."""
    records, _ = read_records(data)
    base, donor = (_picture(record.image, 128)[None] * 2 - 1 for record in records[:2])
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


main()
