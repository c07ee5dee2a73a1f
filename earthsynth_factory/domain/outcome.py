"""What becomes of an image, and why: values that are counted and shown, never texts that are taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of an image."""

    KEPT = "kept"
    REJECTED = "rejected"
    SPARE = "spare"
    """It passed every rule, yet another of the same condition was better."""
    UNDRAWN = "undrawn"
    """No image at all: the condition could not be drawn."""


NOT_BEST, NO_CONDITION, UNUSABLE = "not the best", "no condition", "unusable"
"""What reasons are counted under that no rule gave: of a spare image, of an undrawn one, of a file that cannot be read."""


@dataclass(frozen=True, slots=True)
class Reason:
    """rule: the name it is counted under, a rule's or one of those above. text: a short sentence for a person."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"
