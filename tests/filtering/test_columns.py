"""Columns say of an image what its row says; a journal that is read again says the same."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.errors import StoreError
from earthsynth_factory.filtering.columns import MOST_MEASURES, ScoreColumns
from earthsynth_factory.filtering.row import Measured, ScoreRow
from earthsynth_factory.filtering.scores import ScoreJournal

SETTINGS = {"a": "s", "b": "t"}


def _row(name: str, category: int | None, **measured: Measured) -> ScoreRow:
    return ScoreRow(name, f"stamp of {name}", category, "0" * 31 + "7", "f" * 16, measured)


def test_a_journal_read_again_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    journal = ScoreJournal(path, ["x", "y", "z"], SETTINGS)
    first = _row("x", 17, a=Measured.of("s", {"value": 0.25, "other": None}))
    journal.put({0: first, 2: ScoreRow("z", "stamp of z", fault="broken")})
    journal.put(
        {0: _row("x", 17, a=first.measured["a"], b=Measured.of("t", {})), 1: _row("y", None, a=Measured("old", {}))}
    )
    journal.close()
    again = ScoreJournal(path, ["z", "x", "y"], SETTINGS)
    for scores, places in ((journal.scores, (0, 1, 2)), (again.scores, (1, 2, 0))):
        x, y, z = (scores.known(place) for place in places)
        assert x.category == 17 and x.measured["a"]["value"] == 0.25 and math.isnan(x.measured["a"]["other"])
        assert x.measured["b"] == {} and y.measured == {} and not z.usable
        assert scores.lacks(places[1], ["a"]) and not scores.lacks(places[0], ["a", "b"])
        assert scores.is_current(places[0], "stamp of x") and not scores.is_current(places[0], "another")
        assert scores.digest(places[0]).hex() == "0" * 31 + "7" and scores.hashes[places[0]] == 2**64 - 1
        np.testing.assert_array_equal(scores.column("a", "value")[list(places)], [0.25, math.nan, math.nan])
    assert again.row(0) == ScoreRow("z", "stamp of z", fault="broken")
    again.close()


def test_a_journal_of_a_thousand_measures_takes_no_memory() -> None:
    scores = ScoreColumns(4, SETTINGS)
    with pytest.raises(StoreError, match="measures of one rule"):
        for number in range(MOST_MEASURES + 2):
            scores.note(0, _row("x", 1, a=Measured.of("s", {f"m{number}": 1.0})))
