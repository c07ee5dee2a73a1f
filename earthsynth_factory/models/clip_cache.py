"""Vectors of images by the content of the images, in one file that only grows. No torch here.

A record is the 16-byte hash of the pixels and the vector as little-endian float32. A torn last record is overwritten.
One file belongs to one model; one process writes it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import disk_error
from earthsynth_factory.models.clip_files import ClipName, clip_identity

DIGEST = 16
MAX_WIDTH = 8192
_MAGIC = b"clip-vectors-1\n\0"


def content_hash(image: npt.NDArray[np.uint8]) -> bytes:
    """16 bytes that change with an image's shape or pixels."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=DIGEST)
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def cache_file(folder: Path, name: ClipName, base: Path) -> Path:
    """The file of a model's vectors below `folder`, named by the model's weights. Raises ModelError where they lack."""
    facts = repr(sorted(clip_identity(name, base).items())).encode()
    return folder / f"{hashlib.blake2b(facts, digest_size=8).hexdigest()}.vectors"


class EmbeddingCache:
    """See the module. Raises StoreError where the file is not one of ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[bytes, npt.NDArray[np.float32]] = {}
        self._end = 0
        if path.is_file():
            self._read(path.read_bytes())

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known

    def __len__(self) -> int:
        return len(self._known)

    @property
    def width(self) -> int:
        """Numbers of a vector; 0 while none is known."""
        return len(next(iter(self._known.values()), ()))

    def vectors(self, digests: Sequence[bytes]) -> npt.NDArray[np.float32]:
        """(N, D) vectors of known images. Raises KeyError for others."""
        return np.stack([self._known[digest] for digest in digests])

    def add(self, digests: Iterable[bytes], vectors: npt.NDArray[np.float32]) -> None:
        """Remember (N, D) vectors, here and on disk. Raises DiskError where the disk refuses."""
        head = b"" if self._end else _MAGIC + np.uint32(vectors.shape[1]).tobytes()
        rows = {digest: row.astype("<f4") for digest, row in zip(digests, vectors, strict=True)}
        block = head + b"".join(digest + row.tobytes() for digest, row in rows.items())
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(self.path, flags, 0o666), "r+b") as file:
                file.seek(self._end)
                file.write(block)
                file.truncate()
        except OSError as error:
            raise disk_error(self.path, error) from error
        self._end += len(block)
        self._known |= rows

    def _read(self, data: bytes) -> None:
        head = len(_MAGIC) + 4
        if len(data) < head:
            return  # the run died before the first vector
        width = int(np.frombuffer(data, "<u4", 1, len(_MAGIC))[0])
        if not data.startswith(_MAGIC) or not 0 < width <= MAX_WIDTH:
            raise StoreError(f"{self.path}: no cache of vectors; remove the file, it is made again")
        size = DIGEST + 4 * width
        for at in range(head, len(data) - size + 1, size):
            self._known[data[at : at + DIGEST]] = np.frombuffer(data, "<f4", width, at + DIGEST)
        self._end = head + (len(data) - head) // size * size
