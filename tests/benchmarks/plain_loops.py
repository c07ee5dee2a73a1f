"""The loops that a user would write with diffusers: the authors' demo, and the stock way to train a ControlNet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from torch.nn import functional as F

from earthsynth_factory.datasets.prepared.train_list import TrainLine, read_train_list
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from tests.training.scenes import scene, text_of


class Parts(NamedTuple):
    """What a training script loads. All but `control` are frozen and in the computing precision; `control` is float32."""

    vae: Any
    text: Any
    tokenizer: Any
    unet: Any
    noising: Any
    control: Any


def demo(pipe: Any, prompts: Sequence[str], masks: Sequence[Any], steps: int) -> list[Any]:
    """As the authors' `test.py`: one prompt and one control image at a time, UniPC, guidance 7.5, unseeded."""
    controls = [PIL.Image.fromarray(np.repeat(mask[..., None], 3, axis=2)) for mask in masks]
    return [
        pipe(prompt, image=control, num_inference_steps=steps).images[0]
        for prompt, control in zip(prompts, controls, strict=True)
    ]


def training_steps(parts: Parts, data: Path, size: int, batch: int, device: torch.device) -> Iterator[None]:
    """Decodes, resizes, encodes image and prompt in every step, in one process."""
    dtype = parts.unet.dtype
    optimizer = torch.optim.AdamW(parts.control.parameters(), lr=1e-5)
    records, _ = read_train_list(data)
    while True:
        order = torch.randperm(len(records)).tolist()
        for first in range(0, len(order) - batch + 1, batch):
            some = [records[place] for place in order[first : first + batch]]
            pixels = torch.stack([picture(r.image, size) * 2 - 1 for r in some]).to(device, dtype)
            masks = torch.stack([picture(r.mask, size) for r in some]).to(device, dtype)
            words = _words(some, parts, device)
            with torch.no_grad():
                latents = parts.vae.encode(pixels).latent_dist.sample() * parts.vae.config.scaling_factor
            noise = torch.randn_like(latents)
            times = torch.randint(0, 1000, (batch,), device=device)
            noisy = parts.noising.add_noise(latents.float(), noise.float(), times).to(dtype)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                down, middle = parts.control(noisy, times, words, masks, return_dict=False)
                residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
                predicted = parts.unet(noisy, times, words, **residuals).sample
            F.mse_loss(predicted.float(), noise.float()).backward()
            torch.nn.utils.clip_grad_norm_(parts.control.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            yield


def write_scenes(root: Path, size: int, count: int) -> None:
    """Noise with class bands: as costly to decode as imagery is."""
    lines = []
    for number in range(count):
        _, mask = scene(number, size)
        image = np.random.default_rng(number).integers(0, 255, (size, size, 3), dtype=np.uint8)
        write_bytes(root / f"images/A_{number}_0.png", encode_png(image))
        write_bytes(root / f"masks/A_{number}_0.png", encode_png(mask))
        lines.append(
            f'{{"file_name": "images/A_{number}_0.png", "mask_name": "masks/A_{number}_0.png", "text": "{text_of(mask)}"}}'
        )
    (root / "train.jsonl").write_text("\n".join(lines) + "\n")


def picture(path: Path, size: int) -> torch.Tensor:
    """(3, size, size) float32 in [0, 1]."""
    with PIL.Image.open(path) as image:
        resized = image.convert("RGB").resize((size, size), PIL.Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255


@torch.no_grad()
def _words(some: list[TrainLine], parts: Parts, device: torch.device) -> torch.Tensor:
    texts = [record.text for record in some]
    ids = parts.tokenizer(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    words: torch.Tensor = parts.text(ids.to(device))[0]
    return words
