"""What a safetensors file says of itself: names, types and shapes, read from its header; no weight is loaded."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import ModelError
from earthsynth_factory.io.bounded import open_regular

MAX_HEADER_BYTES = 100_000_000
"""The format's own bound."""

SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Type of numbers → bytes of one."""

_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """Type (`F32`, `F16`, …) and shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def fractions(self) -> bool:
        """Whether its numbers are floating-point ones, as weights are that nobody has quantised."""
        return self.dtype.startswith(("F", "BF"))


def read_header(path: Path) -> dict[str, TensorFacts]:
    """Tensor name → facts. Raises ModelError naming what is wrong: not there, not readable, cut short, of another format."""
    return _tensors(path, *_header(path))


def read_metadata(path: Path) -> dict[str, str]:
    """What a file says of itself in free words; nothing in most. Raises ModelError as `read_header`."""
    header, _ = _header(path)
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return {str(key): str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}


def _header(path: Path) -> tuple[Any, int]:
    """The header's JSON, and how many bytes of weights follow it."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(len(_LFS))
            length = int.from_bytes(start[:8], "little")
            if start == _LFS:
                raise ModelError(
                    f"{path}: a pointer of Git LFS in place of the weights; fetch them with `git lfs pull`"
                )
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise ModelError(f"{path}: no safetensors file, or cut short ({size} bytes); fetch it again")
            file.seek(8)
            header = json.loads(file.read(length))
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: a damaged safetensors header ({error}); fetch the file again") from error
    return header, size - 8 - length


def unreadable(path: Path, error: OSError) -> ModelError:
    """The error in words, with the remedy of its cause."""
    if isinstance(error, FileNotFoundError):
        if path.is_symlink():
            return ModelError(f"{path}: a link to nothing; fetch the file again")
        return ModelError(f"{path}: no such file; fetch the model again")
    if isinstance(error, PermissionError):
        return ModelError(f"{path}: no permission to read; ask its owner, or copy it")
    return ModelError(f"{path}: cannot be read ({error.strerror or error})")


def _tensors(path: Path, header: Any, data: int) -> dict[str, TensorFacts]:
    """data: bytes that follow the header."""
    try:
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        found = {name: TensorFacts(str(e["dtype"]), tuple(map(int, e["shape"]))) for name, e in entries.items()}
        spans = {name: tuple(map(int, e["data_offsets"])) for name, e in entries.items()}
        damaged = next((name for name, facts in found.items() if not _filled(facts, *spans[name])), None)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: a damaged safetensors header ({error!r}); fetch the file again") from error
    if damaged is not None:
        facts, (first, last) = found[damaged], spans[damaged]
        raise ModelError(
            f"{path}: a damaged safetensors header: {damaged[:80]!r} of type {facts.dtype[:20]} and shape {facts.shape} in "
            f"bytes {first} to {last}; fetch the file again"
        )
    needed = max((last for _, last in spans.values()), default=0)
    if needed > data:
        raise ModelError(f"{path}: cut short, {data} of {needed} bytes of weights; fetch the file again")
    return found


def _filled(facts: TensorFacts, first: int, last: int) -> bool:
    """Whether a tensor fills its bytes; of types that are not known here that is not said."""
    size = SIZES.get(facts.dtype)
    if first < 0 or last < first or min(facts.shape, default=0) < 0:
        return False
    return size is None or prod(facts.shape) * size == last - first
