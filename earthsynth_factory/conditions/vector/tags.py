"""Which features a rule's `where` picks: SQL, evaluated by SQLite over the tags of all features, in memory.

A condition may be a stranger's: it can read the table of tags and call the functions named here, nothing else; it is
stopped when it takes too long.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

from earthsynth_factory.errors import SourceError

SECONDS = 60.0
"""No condition takes longer over a file that is read."""

FUNCTIONS = frozenset(
    {"like", "glob", "lower", "upper", "coalesce", "ifnull", "length", "substr", "instr", "trim", "abs"}
)

_WORDS = FUNCTIONS | {
    "and",
    "or",
    "not",
    "in",
    "is",
    "null",
    "between",
    "like",
    "glob",
    "case",
    "when",
    "then",
    "else",
    "end",
}

_NAME = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")+)"|([A-Za-z_]\w*)""")
_HSTORE = re.compile(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"')


def names_in(where: str) -> list[str]:
    """The tags that a condition names.

    >>> names_in('''highway in ('primary') and "addr:street" is null''')
    ['highway', 'addr:street']
    """
    found = (
        quoted.replace('""', '"') or plain * (plain.lower() not in _WORDS) for quoted, plain in _NAME.findall(where)
    )
    return list(dict.fromkeys(name for name in found if name))


def other_tags(text: Any) -> dict[str, str]:
    """What OGR's OpenStreetMap driver puts into one column: `"bridge"=>"yes","lanes"=>"2"`."""
    if not isinstance(text, str):
        return {}
    return {key: re.sub(r"\\(.)", r"\1", value) for key, value in _HSTORE.findall(text)}


class Tags:
    """A table of features: the row number is the feature's."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], count: int) -> None:
        """columns: tag → a value a feature, None if it has none."""
        self._columns, self._count = columns, count
        self._base = sqlite3.connect(":memory:")
        names = "".join(f", {_quoted(name)}" for name in columns)
        self._base.execute(f"create table tags (feature integer primary key{names})")
        slots = ", ".join("?" * (len(columns) + 1))
        rows = zip(range(count), *columns.values(), strict=True)
        self._base.executemany(f"insert into tags values ({slots})", rows)
        self._base.set_authorizer(_allowed)

    def __len__(self) -> int:
        return self._count

    def matching(self, where: str | None) -> list[int]:
        """The features, ascending. Raises SourceError if the condition is no such SQL."""
        if where is None:
            return list(range(self._count))
        until = time.monotonic() + SECONDS
        self._base.set_progress_handler(lambda: time.monotonic() > until, 100_000)
        try:
            rows = self._base.execute(f"select feature from tags where ({where}) order by feature")
            return [feature for (feature,) in rows]
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise SourceError(f"where: {where!r}: {error}; write SQL over tags, as `building is not null`") from error

    def column(self, name: str) -> Sequence[Any]:
        """The values of a tag."""
        return self._columns[name]


def _allowed(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_READ and first == "tags"):
        return sqlite3.SQLITE_OK
    called = (second or "").lower()
    return sqlite3.SQLITE_OK if action == sqlite3.SQLITE_FUNCTION and called in FUNCTIONS else sqlite3.SQLITE_DENY


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
