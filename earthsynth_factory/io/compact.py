"""Millions of names and digests in some tens of bytes each, where Python's own text and dictionaries take hundreds."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np

Key = str | bytes

DIGEST = 16
MERGED_AT = 1 << 16
"""New keys that are kept in a dictionary before they join the sorted ones."""


class Texts(Sequence[str]):
    """A list of texts that only grows: their bytes in one piece, and where each ends."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes, self._ends = bytearray(), array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add one at the end."""
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        at = place % len(self)
        return self._bytes[self._ends[at] : self._ends[at + 1]].decode("utf-8", "surrogatepass")


class Places:
    """Key → place: what a dictionary does, in 24 bytes an entry. Keys are known by digests of 16 bytes.

    >>> places = Places(["a", "b"])
    >>> places.get("b"), places.get("c"), len(places)
    (1, None, 2)
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        """keys: get the places 0, 1, … in their order."""
        self._keys = np.empty(0, f"S{DIGEST}")
        self._places = np.empty(0, np.int64)
        self._new: dict[bytes, int] = {}
        for place, key in enumerate(keys):
            self.add(key, place)

    def __len__(self) -> int:
        return len(self._keys) + len(self._new)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str | bytes) and self.get(key) is not None

    def add(self, key: Key, place: int) -> None:
        """Take the key in; one that is known keeps its place."""
        digest = _digest(key)
        if self._old(digest) is None:
            self._new.setdefault(digest, place)
            if len(self._new) >= MERGED_AT:
                self._merge()

    def get(self, key: Key) -> int | None:
        """The key's place; None if it was not added."""
        digest = _digest(key)
        new = self._new.get(digest)
        return self._old(digest) if new is None else new

    def _old(self, digest: bytes) -> int | None:
        at = int(self._keys.searchsorted(digest))
        # numpy takes zeros at the end of a text away
        known = at < len(self._keys) and self._keys[at].ljust(DIGEST, b"\0") == digest
        return int(self._places[at]) if known else None

    def _merge(self) -> None:
        keys = np.concatenate([self._keys, np.array(list(self._new), f"S{DIGEST}")])
        places = np.concatenate([self._places, np.fromiter(self._new.values(), np.int64)])
        order = keys.argsort(kind="stable")
        self._keys, self._places, self._new = keys[order], places[order], {}


class FileSet:
    """A set of paths that only grows."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._places = Places()
        for path in paths:
            self.add(path)

    def add(self, path: Path) -> None:
        """Take one in."""
        self._places.add(os.fsencode(path), 0)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, Path) and os.fsencode(path) in self._places

    def __len__(self) -> int:
        return len(self._places)


def short_digest(text: str) -> int:
    """64 bits that change with the text, for columns of numbers."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _digest(key: Key) -> bytes:
    data = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    return hashlib.blake2b(data, digest_size=DIGEST).digest()
