"""Vectors of images by the content of the images, in one file that only grows. No torch here.

A record is the 16-byte hash of the pixels and the vector as little-endian float32. A torn last record is overwritten.
One file belongs to one model; one process writes it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import disk_error
from earthsynth_factory.io.compact import Places
from earthsynth_factory.models.clip_files import ClipName, clip_identity

DIGEST = 16
MAX_WIDTH = 8192
_MAGIC = b"clip-vectors-1\n\0"
_HEAD = len(_MAGIC) + 4
_REMEDY = "remove the file, it is made again"
_BLOCK = 256
"""Records that are read at a time."""


def content_hash(image: npt.NDArray[np.uint8]) -> bytes:
    """16 bytes that change with an image's shape or pixels."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=DIGEST)
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def cache_file(folder: Path, name: ClipName, base: Path) -> Path:
    """The file of a model's vectors below `folder`, named by the model's weights. Raises ModelError if they are missing."""
    facts = repr(sorted(clip_identity(name, base).items())).encode()
    return folder / f"{hashlib.blake2b(facts, digest_size=8).hexdigest()}.vectors"


class EmbeddingCache:
    """See the module. Memory: 24 bytes an image; the vectors stay on the disk. Raises StoreError if the file is none of
    ours, DiskError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = Places()
        self.width = 0
        """Numbers of a vector; 0 while none is known."""
        self._count = 0
        if path.is_file():
            self._list()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known

    def __len__(self) -> int:
        return len(self._known)

    def vectors(self, digests: Iterable[bytes]) -> npt.NDArray[np.float32]:
        """(N, D) vectors of known images, in their order. Raises KeyError for others, DiskError, StoreError."""
        rows = []
        try:
            with self.path.open("rb") as file:
                for digest in digests:
                    file.seek(self._start(digest) + DIGEST)
                    rows.append(file.read(4 * self.width))
        except OSError as error:
            raise disk_error(self.path, error) from error
        data = b"".join(rows)
        if len(data) != 4 * self.width * len(rows):
            raise StoreError(f"{self.path}: shorter than it was; {_REMEDY}")
        return np.frombuffer(data, "<f4").astype(np.float32).reshape(-1, self.width)

    def add(self, digests: Iterable[bytes], vectors: npt.NDArray[np.float32]) -> None:
        """Remember (N, D) vectors on the disk. Raises DiskError if it refuses."""
        if self._count and vectors.shape[1] != self.width:
            raise StoreError(
                f"{self.path}: vectors of {self.width} numbers, the model has {vectors.shape[1]}; {_REMEDY}"
            )
        head = b"" if self._count else _MAGIC + np.uint32(vectors.shape[1]).tobytes()
        rows = {digest: row.astype("<f4") for digest, row in zip(digests, vectors, strict=True)}
        block = head + b"".join(digest + row.tobytes() for digest, row in rows.items())
        self.width = vectors.shape[1]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(self.path, flags, 0o666), "r+b") as file:
                file.seek(self._end if self._count else 0)
                file.write(block)
                file.truncate()
        except OSError as error:
            raise disk_error(self.path, error) from error
        self._note(rows)

    @property
    def _end(self) -> int:
        return _HEAD + self._count * (DIGEST + 4 * self.width)

    def _start(self, digest: bytes) -> int:
        place = self._known.get(digest)
        if place is None:
            raise KeyError(digest)
        return _HEAD + place * (DIGEST + 4 * self.width)

    def _note(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            self._known.add(digest, self._count)
            self._count += 1

    def _list(self) -> None:
        with self.path.open("rb") as file:
            head = file.read(_HEAD)
            if len(head) < _HEAD:
                return  # the run died before the first vector
            width = int(np.frombuffer(head, "<u4", 1, len(_MAGIC))[0])
            if not head.startswith(_MAGIC) or not 0 < width <= MAX_WIDTH:
                raise StoreError(f"{self.path}: no cache of vectors; {_REMEDY}")
            self.width, size = width, DIGEST + 4 * width
            while data := file.read(_BLOCK * size):
                self._note(data[at : at + DIGEST] for at in range(0, len(data) - size + 1, size))


class NewVectors(EmbeddingCache):
    """Knows what the file holds, and keeps what is new until somebody else, who writes the file, takes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._new: dict[bytes, npt.NDArray[np.float32]] = {}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._new or super().__contains__(digest)

    def vectors(self, digests: Iterable[bytes]) -> npt.NDArray[np.float32]:
        wanted = list(digests)
        stored = [digest for digest in wanted if digest not in self._new]
        found = dict(zip(stored, super().vectors(stored), strict=True)) if stored else {}
        return np.stack([self._new[digest] if digest in self._new else found[digest] for digest in wanted])

    def add(self, digests: Iterable[bytes], vectors: npt.NDArray[np.float32]) -> None:
        """Keep (N, D) vectors."""
        self._new |= zip(digests, vectors, strict=True)

    def take(self) -> Mapping[bytes, npt.NDArray[np.float32]]:
        """What was added since the last time; it is known no longer."""
        new, self._new = self._new, {}
        return new
