"""bf16 if the machine computes in it, fp32 if it would only emulate it (30 times slower than fp32)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from earthsynth_factory.models.device import pick_dtype


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bf16 autocast, or nothing."""
    native = pick_dtype("auto", device) is torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16) if native else nullcontext()
