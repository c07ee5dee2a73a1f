"""Which device and precision a network runs in."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import Literal

import torch

from earthsynth_factory.errors import ModelError, first_line

Precision = Literal["auto", "float32", "bfloat16", "float16"]

CPU_PRECISION = "ESF_CPU_PRECISION"
"""Environment variable: what `precision: auto` means on a processor, `float32` or `bfloat16`, whatever it computes in."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:1`, `mps`. Raises ModelError if this machine lacks it.

    If it is the processor, this process keeps the memory that it frees; see `_keep_memory`.
    """
    device = _found(name)
    if device.type == "cpu":
        _keep_memory()
    return device


def _found(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {name!r} cannot be used here ({first_line(error)}); set `device: auto`") from error
    return device


@cache
def _keep_memory() -> None:
    """Have the C library keep what is freed, for the next tensor of that size. By default glibc gives tensors above 32 MB
    back to the system, which clears every page of the next one: a fifth of the time that the embedded model takes on two
    cores, against a sixth more memory. Nothing happens with other C libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def all_devices(name: str, workers: int) -> list[str]:
    """A device name for each of `workers`: with `auto` or `cuda` the GPUs in turn, else the same one for all."""
    gpus = torch.cuda.device_count() if name in ("auto", "cuda") else 0
    return [f"cuda:{number % gpus}" for number in range(workers)] if gpus else [name] * workers


def device_count(name: str) -> int:
    """How many devices a name stands for here: with `auto` or `cuda` all GPUs, if there are any, else one."""
    return max(1, torch.cuda.device_count()) if name in ("auto", "cuda") else 1


def pick_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype for a precision; `auto` is bfloat16 if the hardware computes in it, else float32.

    On a processor without bfloat16 instructions bfloat16 is emulated and some ten times slower than float32; the
    environment variable of `CPU_PRECISION` chooses there. Raises ModelError if that names another precision.
    """
    if precision != "auto":
        return _DTYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return cpu_dtype() if device.type == "cpu" else torch.float32


def cpu_dtype() -> torch.dtype:
    """What `auto` is on this processor. Raises ModelError as `pick_dtype`."""
    asked = os.environ.get(CPU_PRECISION, "")
    if asked not in ("", "float32", "bfloat16"):
        raise ModelError(
            f"{CPU_PRECISION}={asked!r} → must be float32 or bfloat16; unset it to let the processor decide"
        )
    return _DTYPES[asked] if asked else torch.bfloat16 if cpu_has_bfloat16() else torch.float32


def out_of_memory(error: RuntimeError) -> bool:
    """Whether torch says that memory ran out, on a GPU or on a CPU."""
    message = str(error).lower()
    return isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in message or "allocate memory" in message


def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
