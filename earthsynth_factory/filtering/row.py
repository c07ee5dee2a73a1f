"""What is stored of one image: a line of `scores.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import orjson
from pydantic import Field
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12

from earthsynth_factory.datasets.build.records import ClassId, parsed


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rule measured of an image. settings: a digest of the rule's. measures: NaN if there is none."""

    settings: str
    measures: Mapping[str, float]

    @classmethod
    def of(cls, settings: str, measures: Mapping[str, float | None]) -> Measured:
        """measures: name → number; None if it could not be measured."""
        return cls(settings, {name: math.nan if value is None else value for name, value in measures.items()})


class _MeasuredLine(TypedDict):
    settings: str
    measures: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class _RowLine:
    """A line of the journal, as it is checked."""

    name: str
    stamp: str
    category: ClassId | None
    digest: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")]
    phash: Annotated[str, Field(pattern="^([0-9a-f]{16})?$")]
    measured: dict[str, _MeasuredLine]
    fault: str = ""


@dataclass(slots=True)
class ScoreRow:
    """What is known of one image. measured: rule → its numbers. fault: why it is unusable."""

    name: str
    stamp: str
    category: int | None = None
    digest: str = ""
    phash: str = ""
    measured: dict[str, Measured] = field(default_factory=dict)
    fault: str = ""

    @classmethod
    def parse(cls, line: bytes) -> ScoreRow:
        """The row in a line. Raises ValueError that says what is wrong with it."""
        found = parsed(line, _RowLine)
        measured = {rule: Measured.of(**one) for rule, one in found.measured.items()}
        return cls(found.name, found.stamp, found.category, found.digest, found.phash, measured, found.fault)

    def line(self) -> bytes:
        """The row as a line of the journal; NaN is null."""
        measured = {rule: {"settings": one.settings, "measures": one.measures} for rule, one in self.measured.items()}
        return orjson.dumps({**{name: getattr(self, name) for name in _PLAIN}, "measured": measured}) + b"\n"

    def measures(self, rule: str, settings: str) -> Mapping[str, float] | None:
        """The rule's numbers; None if it was not asked, or with other settings."""
        found = self.measured.get(rule)
        return None if found is None or found.settings != settings else found.measures


_PLAIN = ("name", "stamp", "category", "digest", "phash", "fault")
