"""Tables in Markdown, and their place between two comments of a file: replaced whole, the rest untouched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from earthsynth_factory.errors import InputError
from earthsynth_factory.io.atomic import write_bytes

NAME = "model-report"
START, END = f"<!-- {NAME} -->", f"<!-- /{NAME} -->"
EMPTY = f"{START}\n{END}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def filled(text: str, body: str, place: str, name: str = NAME) -> str:
    """`text` with `body` between the markers of that name. Raises InputError naming `place` unless it holds the pair
    once, in order."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if (text.count(start), text.count(end)) != (1, 1) or text.index(start) > text.index(end):
        raise InputError(f"{place}: the table needs one line {start} and after it one line {end}; add them")
    before, rest = text.split(start)
    return f"{before}{start}\n{body.strip()}\n{end}{rest.split(end)[1]}"


def fill(path: Path, body: str, name: str = NAME) -> None:
    """As `filled`, in a file."""
    write_bytes(path, filled(read(path), body, str(path), name).encode())


def check(path: Path, name: str = NAME) -> None:
    """Raises InputError if `fill` would: asked before the work, not after it."""
    filled(read(path), "", str(path), name)


def read(path: Path) -> str:
    """The file's text. Raises InputError if there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as text ({error}); name a Markdown file") from error
