"""LoRAs of random numbers for a tiny pipeline, in the spellings that are about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

RANK, ALPHA = 4, 6.0

Halves = dict[str, tuple[str, Tensor, Tensor]]
"""Layer → network, (r, in, …) and (out, r, …)."""


def random_halves(pipe: Any, names: tuple[str, ...] = ("unet", "text_encoder")) -> Halves:
    """Updates of attention projections, and of a convolution of the UNet."""
    torch.manual_seed(3)
    found: Halves = {}
    for network in names:
        for layer, shape in _layers(getattr(pipe, network)):
            down = torch.randn(RANK, *shape[1:]) * 0.2
            up = torch.randn(shape[0], RANK, *([1, 1] if len(shape) > 2 else [])) * 0.2
            found[f"{network}.{layer}"] = (network, down, up)
    return found


def _layers(network: torch.nn.Module) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, weight in network.named_parameters():
        layer = name.removesuffix(".weight")
        wanted = ("attn1.to_q", "attn2.to_v", "attn1.to_out.0", "conv1", "q_proj", "fc1", "proj_in")
        if name.endswith(".weight") and layer.endswith(wanted):
            yield layer, tuple(weight.shape)


def peft(halves: Halves, path: Path) -> Path:
    """As diffusers saves them today, alpha in the notes."""
    names = {name: (down, up) for name, (_, down, up) in halves.items()}
    found = {
        f"{name}.lora_{end}.weight": half for name, both in names.items() for end, half in zip("AB", both, strict=True)
    }
    notes: dict[str, Any] = {}
    for network in {network for network, _, _ in halves.values()}:
        modules = sorted({name.removeprefix(f"{network}.") for name, (own, _, _) in halves.items() if own == network})
        notes |= {f"{network}.r": RANK, f"{network}.lora_alpha": ALPHA, f"{network}.target_modules": modules}
    save_file(found, path, {"format": "pt", "lora_adapter_metadata": json.dumps(notes)})
    return path


def kohya(halves: Halves, path: Path) -> Path:
    """As kohya's scripts do."""
    found: dict[str, Tensor] = {}
    for name, (network, down, up) in halves.items():
        stem = f"lora_{_KOHYA[network]}_{_plain(name, network).replace('.', '_')}"
        found |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(ALPHA)}
    save_file(found, path)
    return path


_KOHYA = {"unet": "unet", "text_encoder": "te"}


def before_peft(halves: Halves, path: Path) -> Path:
    """As diffusers did before peft: attention processors, no alpha; updates of alpha's strength."""
    found: dict[str, Tensor] = {}
    for name, (network, down, up) in halves.items():
        inner = _plain(name, network)
        if network == "unet" and "attn" in inner:
            block, _, projection = inner.removesuffix(".0").rpartition(".")
            stem = f"unet.{block}.processor.{projection}_lora."
        else:
            stem = f"{network}.{inner}.lora_linear_layer." if network != "unet" else f"unet.{inner}.lora."
        found |= {f"{stem}down.weight": down, f"{stem}up.weight": up * (ALPHA / RANK)}
    save_file(found, path)
    return path


def _plain(name: str, network: str) -> str:
    inner = name.removeprefix(f"{network}.")
    return f"text_model.{inner.removeprefix('text_model.')}" if network != "unet" else inner


SPELLINGS: dict[str, Callable[[Halves, Path], Path]] = {"peft": peft, "kohya": kohya, "before-peft": before_peft}
