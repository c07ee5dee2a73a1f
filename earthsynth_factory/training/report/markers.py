"""A table between two comments in a Markdown file: replaced whole, the rest of the file untouched."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.errors import InputError
from earthsynth_factory.store.writer import write_bytes

START, END = "<!-- model-report -->", "<!-- /model-report -->"
EMPTY = f"{START}\n{END}"


def filled(text: str, body: str, place: str) -> str:
    """`text` with `body` between its markers. Raises InputError naming `place` unless it holds the pair once, in order."""
    if (text.count(START), text.count(END)) != (1, 1) or text.index(START) > text.index(END):
        raise InputError(f"{place}: the table needs one line {START} and after it one line {END}; add them")
    before, rest = text.split(START)
    return f"{before}{START}\n{body.strip()}\n{END}{rest.split(END)[1]}"


def fill(path: Path, body: str) -> None:
    """As `filled`, in a file."""
    write_bytes(path, filled(read(path), body, str(path)).encode())


def check(path: Path) -> None:
    """Raises InputError where `fill` would: asked before the work, not after it."""
    filled(read(path), "", str(path))


def read(path: Path) -> str:
    """The file's text. Raises InputError where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as text ({error}); name a Markdown file") from error
