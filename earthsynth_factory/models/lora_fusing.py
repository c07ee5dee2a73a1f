"""LoRAs folded into a network's weights: nothing is left of them at drawing, which costs and forgets nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from earthsynth_factory.errors import ModelError, first_line
from earthsynth_factory.models.lora import Lora, LowRank, misfits, spelt


@torch.no_grad()
def fuse(network: nn.Module, name: str, loras: Sequence[Lora], place: Path) -> None:
    """Add every LoRA's updates of this network to its weights, in float32, in the order given.

    name: as in `LowRank.network`. place: the model's, for the message. Raises ModelError if one does not fit or is no
    number.
    """
    weights = {
        spelt(key.removesuffix(".weight")): one for key, one in network.named_parameters() if key.endswith(".weight")
    }
    shapes = {name: {key: tuple(one.shape) for key, one in weights.items()}}
    for lora in loras:
        own = Lora(lora.path, lora.adapter, lora.weight, tuple(lora.of(name)))
        for fault in misfits(own, shapes, place):
            raise ModelError(fault)
        tensors = _tensors(lora.path)
        for update in own.updates:
            weight = weights[update.layer]
            weight.data = weight.data.float() + lora.weight * _delta(tensors, update, lora.path).reshape(weight.shape)


def _tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        found: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read ({first_line(error)}); fetch the file again") from error
    return found


def _delta(tensors: Mapping[str, Tensor], update: LowRank, path: Path) -> Tensor:
    """scale · up · down, flat over a convolution's kernel."""
    down, up = (tensors[name].float() for name in (update.down, update.up))
    scale = update.scale if update.alpha is None else float(tensors[update.alpha]) / len(down)
    delta: Tensor = up.flatten(1) @ down.flatten(1) * scale
    if not bool(torch.isfinite(delta).all()):
        raise ModelError(f"{path}: {update.network} {update.layer} holds NaN; fetch the file again")
    return delta
