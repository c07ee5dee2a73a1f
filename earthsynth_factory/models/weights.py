"""Where the models that ship lie, and the hashes of weight files. No torch here."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from earthsynth_factory.errors import ModelError
from earthsynth_factory.io.stamps import Stamp, stamp
from earthsynth_factory.models.safetensors_file import unreadable

EMBEDDED = Path(__file__).parent.parent / "assets" / "embedded"
"""Folder of the models that ship inside the package: `pipeline/`, `clip/` and `segmenter/`."""


def weight_hashes(folder: Path) -> dict[str, str]:
    """Relative path → sha256 of every safetensors file below `folder`. Raises ModelError if there is none."""
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise ModelError(
            f"{folder}: no safetensors weights here (other formats are not read, they could run code); "
            "convert them with `save_pretrained(..., safe_serialization=True)`"
        )
    return {str(path.relative_to(folder)): file_hash(path) for path in files}


def file_hash(path: Path) -> str:
    """sha256 of a file, as hex; remembered until the file changes. Raises ModelError if it cannot be read."""
    try:
        return _sha256(path, stamp(path))
    except OSError as error:
        raise unreadable(path, error) from error


@lru_cache(maxsize=64)
def _sha256(path: Path, _stamp: Stamp) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
