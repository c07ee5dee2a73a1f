"""What a filter decided of each image of a folder: a line of `decisions.jsonl`, in the order of the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import orjson

from earthsynth_factory.datasets.build.records import parsed
from earthsynth_factory.domain.outcome import Outcome, Reason

DECISIONS = "decisions.jsonl"
"""Its name in a filter's output."""


@dataclass(frozen=True, slots=True)
class Decision:
    """name: of the image, in its folder. category: class that it was judged by, empty without one. reasons: empty if it
    is kept. scores: rule → value, None if it does not apply.
    """

    name: str
    category: str
    reasons: tuple[Reason, ...]
    scores: Mapping[str, float | None]

    @property
    def outcome(self) -> Outcome:
        return Outcome.REJECTED if self.reasons else Outcome.KEPT

    @classmethod
    def parse(cls, line: bytes) -> Decision:
        """The decision in a line. Raises ValueError that says what is wrong with it."""
        return parsed(line, cls)

    def line(self) -> bytes:
        """As one line of JSON with its newline."""
        return orjson.dumps(asdict(self)) + b"\n"
