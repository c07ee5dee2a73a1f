"""What is told of a map by its runs is what its pixels say."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.domain.masks import pixel_counts, present_classes, present_ids, renumbered, run_starts


@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (9, 13), (3, 4, 5)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_runs_say_what_pixels_say(shape: tuple[int, ...], kind: type[np.uint8] | type[np.uint16]) -> None:
    rng = np.random.default_rng(0)
    for greatest in (1, 3, np.iinfo(kind).max):
        ids = rng.integers(0, greatest, shape, kind, endpoint=True).repeat(3, axis=-1)
        numbers, counts = np.unique(ids, return_counts=True)
        assert present_ids(ids) == numbers.tolist()
        assert pixel_counts(ids) == dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        table = rng.integers(0, 999, int(greatest) + 1, np.uint16)
        found = renumbered(ids, table)
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, table[ids])


def test_runs_begin_where_any_of_several_maps_changes() -> None:
    one, other = np.array([[1, 1, 2], [2, 2, 2]], np.uint8), np.array([[7, 7, 7], [7, 8, 8]], np.uint16)
    assert run_starts(one).tolist() == [0, 2]
    assert run_starts(one, other).tolist() == [0, 2, 4]
    assert run_starts(one.T).tolist() == [0, 1, 2, 3]  # row by row, however it lies in memory


def test_background_and_what_is_ignored_are_no_classes() -> None:
    assert present_classes(np.array([[0, 255], [9, 3]], np.uint8)) == [3, 9]
