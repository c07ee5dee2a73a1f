"""The table of categories: every line is whole, and every name in it is one."""

from __future__ import annotations

import pytest

from earthsynth_factory.conditions.ground import LyingTable
from earthsynth_factory.conditions.procedural.figures import BUILDERS, FIGURES
from earthsynth_factory.conditions.procedural.scenes import SCENES
from earthsynth_factory.domain.categories import CategoryRow, rows
from earthsynth_factory.domain.taxonomy import earthsynth

NAMES = {row.name for row in rows()}


def test_ids_are_earthsynths() -> None:
    assert len(rows()) == 69 and [row.id for row in rows()] == list(range(69))
    assert [rows()[number].name for number in (0, 25, 39, 68)] == [
        "background", "storage tank", "windmill", "developed space"
    ]  # fmt: skip


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_line_names_what_there_is(row: CategoryRow) -> None:
    assert {*row.on, *row.ground} <= NAMES and (row.parent is None or row.parent in NAMES)
    assert row.figure is None or row.figure in BUILDERS
    assert bool(row.figure) == bool(row.size), "what is drawn has a size, and the other way round"
    assert not row.thing or row.scenes, "every countable class can be drawn"
    assert (row.parent is not None) == (row.id >= 40), "the finer classes, and only they, are kinds of others"
    if row.size:
        assert 0 < row.size.length[0] <= row.size.length[1] and 0 < row.size.ratio[0] <= row.size.ratio[1]
        assert row.size.why, "a size says where it comes from"
    for spelling in row.also:
        assert earthsynth().named(spelling).id == row.id


def test_the_line_is_all_that_the_stages_know() -> None:
    tank = next(row for row in rows() if row.name == "storage tank")
    lying = LyingTable(earthsynth(), {})
    assert lying.of(tank.id) == {earthsynth().named(name).id for name in tank.on}
    assert FIGURES[tank.name] is BUILDERS[tank.figure or ""]
    assert [scene.__name__ for scene in SCENES[tank.name]] == ["tank_farm"]
