"""What a safetensors file says of itself: names, types and shapes, read from its header; no weight is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import ModelError

MAX_HEADER_BYTES = 100_000_000
"""The format's own bound."""

_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """Type (`F32`, `F16`, …) and shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]


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
        size = path.stat().st_size
        with path.open("rb") as file:
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
    except ValueError as error:
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
        needed = max((int(e["data_offsets"][1]) for e in entries.values()), default=0)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(f"{path}: a damaged safetensors header ({error!r}); fetch the file again") from error
    if needed > data:
        raise ModelError(f"{path}: cut short, {data} of {needed} bytes of weights; fetch the file again")
    return found
