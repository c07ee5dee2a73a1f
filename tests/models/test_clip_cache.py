"""Vectors on the disk: found again by content, also behind a torn record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.errors import StoreError
from earthsynth_factory.models.clip_cache import EmbeddingCache, NewVectors


def _digests(*numbers: int) -> list[bytes]:
    return [bytes([number]) * 16 for number in numbers]


def test_vectors_are_found_again(tmp_path: Path) -> None:
    path, rows = tmp_path / "x.vectors", np.arange(12, dtype=np.float32).reshape(3, 4)
    cache = EmbeddingCache(path)
    assert (len(cache), cache.width) == (0, 0)
    cache.add(_digests(0, 1), rows[:2])
    cache.add(_digests(2), rows[2:])
    path.write_bytes(path.read_bytes() + b"torn")
    for one in (cache, EmbeddingCache(path)):
        np.testing.assert_array_equal(one.vectors(_digests(2, 0)), rows[[2, 0]])
        assert len(one) == 3 and _digests(1)[0] in one and _digests(3)[0] not in one
    again = EmbeddingCache(path)
    again.add(_digests(3), rows[:1])
    np.testing.assert_array_equal(EmbeddingCache(path).vectors(_digests(3, 2)), rows[[0, 2]])
    with pytest.raises(KeyError):
        again.vectors(_digests(9))


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.vectors"
    path.write_bytes(b"no vectors at all, but long enough")
    with pytest.raises(StoreError, match="no cache of vectors"):
        EmbeddingCache(path)
    path.unlink()
    cache = EmbeddingCache(path)
    cache.add(_digests(0), np.ones((1, 4), np.float32))
    with pytest.raises(StoreError, match="vectors of 4 numbers"):
        cache.add(_digests(1), np.ones((1, 5), np.float32))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(StoreError, match="shorter than it was"):
        cache.vectors(_digests(0))


def test_new_vectors_are_handed_over_and_the_file_is_left_alone(tmp_path: Path) -> None:
    stored, new = np.eye(2, 4, dtype=np.float32), np.full((1, 4), 0.5, np.float32)
    EmbeddingCache(tmp_path / "v").add([b"a" * 16, b"b" * 16], stored)
    before = (tmp_path / "v").read_bytes()
    beside = NewVectors(tmp_path / "v")
    beside.add([b"c" * 16], new)
    assert b"a" * 16 in beside and b"c" * 16 in beside
    assert np.array_equal(beside.vectors([b"c" * 16, b"b" * 16]), np.stack([new[0], stored[1]]))
    assert list(beside.take()) == [b"c" * 16] and not beside.take() and b"c" * 16 not in beside
    assert (tmp_path / "v").read_bytes() == before
