"""Cells of CSV files that a spreadsheet may open: text of strangers stays text."""

from __future__ import annotations

from earthsynth_factory.io.printable import one_line

_FORMULA = ("=", "+", "-", "@")
"""With these a spreadsheet begins a formula, which may run commands."""


def cell(value: object) -> object:
    """What stands in a cell: numbers as they are; text on one line, with a ' before it if it would be a formula."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def uncell(text: str) -> str:
    """The text of a cell, as it was before `cell`; line breaks and the like stay escapes."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text
