"""One thing that was found out about a recipe before it is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from earthsynth_factory.recipe.cross_checks import Path


class Stops(Enum):
    """What a finding stands in the way of."""

    NOTHING = 0
    """It is doubtful, and only said."""
    BUILD = 1
    """The recipe is valid, but not to be built as it is, or not on this machine."""
    EVERYTHING = 2
    """The recipe is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """path: place in the recipe. message: what is the matter with the value there and what to do."""

    path: Path
    message: str
    stops: Stops = Stops.NOTHING


Findings = Iterator[Finding]


def value_at(data: Any, path: Path) -> Any:
    """The value at a path, None if it is not written."""
    for step in path:
        try:
            data = data[step]
        except (LookupError, TypeError):
            return None
    return data
