"""What came of attacks: counted by kind, with the first failures in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """One line of the table."""

    attack: str
    tried: int = 0
    failures: list[str] = field(default_factory=list)

    def count(self, fault: str | None) -> None:
        """Count one attack; fault: what went wrong, None if all held."""
        self.tried += 1
        if fault:
            self.failures.append(fault)


def table(outcomes: Iterable[Outcome]) -> str:
    """Markdown: attack, tried, failures; then the first failures of each."""
    outcomes = list(outcomes)
    rows = [f"| {one.attack} | {one.tried:,} | {len(one.failures)} |" for one in outcomes]
    first = [f"- {one.attack}: {fault}" for one in outcomes for fault in one.failures[:6]]
    return "\n".join(["| attack | tried | failures |", "| --- | ---: | ---: |", *rows, "", *first])
