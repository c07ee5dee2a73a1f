"""What of a vector file is which category: rules in the order they are painted, later ones on top."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError, model_validator

from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.errors import SourceError

MAX_BYTES = 1 << 20
"""Largest file of rules that is read."""

ANY_OTHER = "*"
"""The key of a width for all values that have none of their own."""

Metres = float | dict[str, float]


class Rule(Spec):
    """Features of one category. Areas are always taken, lines if there is a `width`, points if there is a `radius`."""

    category: str
    """Category that they are."""
    where: str | None = None
    """Which features, as SQL over their tags: `highway in ('primary', 'residential')`; left out, all of the layer."""
    layer: str | None = None
    """Layer of the file; left out, every layer."""
    width: Metres | None = None
    """Metres that lines are wide: a number, or a number for each value of the tag `by`, `*` for all others."""
    by: str | None = None
    """Tag whose values `width` or `radius` names; left out, the first one in `where`."""
    radius: Metres | None = None
    """Metres around points, written like `width`."""

    @model_validator(mode="after")
    def _sizes(self) -> Rule:
        for name, value in (("width", self.width), ("radius", self.radius)):
            numbers = value.values() if isinstance(value, dict) else [] if value is None else [value]
            if not all(0 < number <= 10_000 for number in numbers):
                raise ValueError(f"`{name}` is in metres, above 0 and at most 10000")
            if isinstance(value, dict) and self.tag is None:
                raise ValueError(f"`{name}` has a number for each value of a tag; say which under `by`")
        return self

    @property
    def tag(self) -> str | None:
        """Whose values the sizes go by."""
        first = self.where.split(maxsplit=1)[0].strip('"(') if self.where else None
        return self.by or first


class _Table(Spec):
    rule: tuple[Rule, ...] = Field(min_length=1)


def osm_table() -> str:
    """The built-in rules for OpenStreetMap's tags, as TOML."""
    return (files("earthsynth_factory.conditions.vector") / "osm.toml").read_text(encoding="utf-8")


def read_rules(given: str | tuple[Rule, ...], base: Path) -> tuple[Rule, ...]:
    """`osm`, a file of rules (TOML, relative to `base`), or rules. Raises SourceError naming what is wrong in the file."""
    if not isinstance(given, str):
        return given
    if given == "osm":
        return _parsed(osm_table(), "osm")
    path = base / Path(given).expanduser()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path}: larger than {MAX_BYTES} bytes, which no table of rules is")
        return _parsed(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path}: no table of rules that can be read ({error}); `recipe osm-rules` prints one to start from"
        ) from error


def _parsed(text: str, name: str) -> tuple[Rule, ...]:
    try:
        return _Table.model_validate(tomllib.loads(text)).rule
    except tomllib.TOMLDecodeError as error:
        raise SourceError(f"{name}: {error}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise SourceError(
            f"{name}: {place}: {fault['msg']}; `recipe osm-rules` prints a table to start from"
        ) from error
