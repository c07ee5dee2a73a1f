"""Templates of prompts: text with fields in braces, such as `A satellite image of {classes}`."""

from __future__ import annotations

from collections.abc import Collection
from string import Formatter

CLASSES, SCALE = "classes", "scale"
"""Fields that every template may have: the classes that are present, and a word for the scale."""


def check_template(template: str, fields: Collection[str] = ()) -> None:
    """Raises ValueError if a template lacks `{classes}`, or has a field beside that, `{scale}` and `fields`.

    A field is a name alone: widths and conversions (`{classes:>9}`) are none, for they could ask for gigabytes.
    """
    known = {CLASSES, SCALE, *fields}
    try:
        parts = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}; write braces around {_named(known)} alone") from None
    strange = [name for name, width, conversion in parts if name not in known or width or conversion]
    if strange or CLASSES not in {name for name, _, _ in parts}:
        others = _named(known - {CLASSES})
        raise ValueError(f"{template!r}: write {{classes}} where the classes are to stand; other fields are {others}")


def fields_of(template: str) -> set[str]:
    """Names of the fields of a template that `check_template` has passed."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def _named(fields: Collection[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(fields))
