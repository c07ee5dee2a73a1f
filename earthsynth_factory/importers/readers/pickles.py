"""Reading pickles without running them: plain containers, texts, numbers and numpy arrays, nothing else.

SAMRS publishes instances as pickles. A pickle names functions to be called; here a short list stands for all that may
be named, and each is a guarded one of ours.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from earthsynth_factory.errors import SourceError

MAX_BYTES = 1 << 26
"""Largest pickle that is read, in bytes: the labels of one image have a hundredth of it."""

MAX_STEPS = 2_000_000
"""Most instructions of a pickle; an array is one."""

_MEMO = {"PUT", "BINPUT", "LONG_BINPUT"}
"""Instructions that name a place in the unpickler's memory, which grows to hold it."""


def read_plain(path: Path) -> Any:
    """The plain data in a pickle. Raises `SourceError`: missing, too large, malformed, or holding more than plain data."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path}: larger than {MAX_BYTES} bytes; no labels of one image are")
        data = path.read_bytes()
        _weigh(data)
        return _Plain(io.BytesIO(data)).load()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except _Forbidden as error:
        raise SourceError(f"{path}: a pickle that names {error}; only plain data is read, never code") from error
    except Exception as error:  # a damaged pickle may raise anything at all
        raise SourceError(f"{path}: damaged pickle ({type(error).__name__}: {error})") from error


def _weigh(data: bytes) -> None:
    """Raises an error if the pickle asks for more memory than it is long. Its instructions are read, none is obeyed."""
    for step, (instruction, argument, _) in enumerate(pickletools.genops(data)):
        if step > MAX_STEPS:
            raise ValueError(f"more than {MAX_STEPS} instructions")
        if instruction.name in _MEMO and not 0 <= int(argument or 0) <= len(data):
            raise ValueError(f"place {argument} in a memory of {len(data)} bytes")


class _Forbidden(Exception):  # noqa: N818  # it is turned into a SourceError at once
    pass


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed = _ALLOWED.get((module.replace("numpy._core", "numpy.core"), name))
        if allowed is None:
            raise _Forbidden(f"{module}.{name}")
        return allowed

    def persistent_load(self, pid: Any) -> Any:
        raise _Forbidden(f"the outside object {pid!r}")


def _empty_array(*_: Any) -> Any:
    """What numpy's pickles call first; the state that follows brings shape and data, which numpy checks."""
    return np.ndarray.__new__(np.ndarray, (0,), np.uint8)


def _from_buffer(data: bytes, dtype: Any, shape: Any, order: str) -> Any:
    """How the newest pickle protocol writes arrays; numpy checks that shape and data agree."""
    return np.frombuffer(bytes(data), dtype).reshape(shape, order="F" if order == "F" else "C")


class _ArrayType:
    """Stands for `numpy.ndarray`, which pickles name but must not build by themselves."""


def _dtype(code: Any, *_: Any) -> Any:
    found = np.dtype(code)
    if found.hasobject:
        raise _Forbidden("an array of objects")
    return found


def _scalar(dtype: Any, data: bytes = b"") -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject or len(data) != dtype.itemsize:
        raise _Forbidden("a malformed numpy scalar")
    return np.frombuffer(data, dtype)[0]


def _encode(text: str, codec: str = "latin1") -> bytes:
    """How the older pickle protocols write bytes."""
    if codec not in ("latin1", "latin-1"):
        raise _Forbidden(f"the codec {codec!r}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}
