"""bf16 where the machine computes in it, fp32 where it would only emulate it (30 times slower than fp32)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def has_bf16(device: torch.device) -> bool:
    """Whether convolutions run natively in bf16 on this device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bf16 autocast, or nothing."""
    return torch.autocast(device.type, torch.bfloat16) if has_bf16(device) else nullcontext()
