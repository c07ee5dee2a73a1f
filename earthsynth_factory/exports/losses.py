"""What a format cannot hold, measured object by object and said in the end."""

from __future__ import annotations

from collections import Counter


class Losses:
    """Gathers the intersection over union of what is written with the truth, and counts what is not written at all."""

    def __init__(self) -> None:
        self.objects = 0
        self._total = 0.0
        self.worst = 1.0
        self._counted: Counter[str] = Counter()

    @property
    def mean(self) -> float:
        """0–1; 1 if nothing was measured."""
        return self._total / self.objects if self.objects else 1.0

    def measure(self, iou: float) -> None:
        """Take one object's intersection over union, 0–1, into account."""
        self.objects += 1
        self._total += iou
        self.worst = min(self.worst, iou)

    def count(self, what: str, number: int = 1) -> None:
        """Count something that is written otherwise, or not at all; `what` becomes a note."""
        self._counted[what] += number

    def notes(self, measured: str) -> tuple[str, ...]:
        """A sentence for the measured objects, `measured` at its head, and one for everything counted."""
        iou = f"{measured}: mean IoU {self.mean:.4f}, worst {self.worst:.4f} over {self.objects} objects"
        counted = [f"{what}: {number:,}" for what, number in sorted(self._counted.items()) if number]
        return (*([iou] if self.objects else []), *counted)
