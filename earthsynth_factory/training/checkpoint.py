"""Checkpoints: one safetensors file each, facts in its header, written atomically; the last ones are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from earthsynth_factory.errors import DiskError, ModelError
from earthsynth_factory.io.atomic import replacing

KEPT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a stage needs to go on: steps done, named tensors, seconds spent so far, and further plain facts."""

    step: int
    seconds: float
    tensors: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)


def save(folder: Path, checkpoint: Checkpoint, kept: int = KEPT) -> Path:
    """Writes `step-<n>.safetensors` (temp + fsync + rename), then removes all but the newest `kept`.

    Raises DiskError if the disk refuses; what was saved before stands.
    """
    path = folder / f"step-{checkpoint.step:08d}.safetensors"
    facts = {**checkpoint.facts, "step": checkpoint.step, "seconds": round(checkpoint.seconds, 1)}
    write_tensors(path, checkpoint.tensors, facts)
    for old in _all(folder)[:-kept]:
        old.unlink()
    return path


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """One safetensors file with plain facts in its header, whole or not at all. Raises DiskError."""
    # To the CPU first: a contiguous copy of everything would not fit beside it on a GPU.
    plain = {name: value.cpu().contiguous() for name, value in tensors.items()}
    try:
        with replacing(path) as part:
            save_file(plain, part, metadata={"facts": json.dumps(facts)})
    except SafetensorError as error:  # safetensors wraps what the disk says in an error of its own
        raise DiskError(f"{path}: {error}; free space, then go on from the checkpoint before") from error


def latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint, on the CPU, or None if there is none. Raises `ModelError` on a damaged file."""
    found = _all(folder)
    if not found:
        return None
    try:
        with safe_open(found[-1], framework="pt") as handle:
            facts = json.loads(handle.metadata()["facts"])
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118  # not a mapping
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{found[-1]}: damaged checkpoint ({error}); remove it to go on from the one before"
        ) from error
    return Checkpoint(int(facts["step"]), float(facts["seconds"]), tensors, facts)


def pack_optimizer(name: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """Moments and step counts under `<name>.<parameter number>.<moment>`; options come from the recipe, not from here."""
    state = optimizer.state_dict()["state"]
    return {f"{name}.{n}.{key}": value for n, moments in state.items() for key, value in moments.items()}


def unpack_optimizer(name: str, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `pack_optimizer` for an optimizer built over the same parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in under(name, tensors).items():
        number, moment = key.split(".")
        state.setdefault(int(number), {})[moment] = _laid_out_as(parameters[int(number)], value)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """`value` in the parameter's memory format: fused optimizers walk both by address, whatever their strides say."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)


def under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `<name>.<key>`, by key."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"))
