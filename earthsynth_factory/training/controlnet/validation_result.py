"""What a look at the weights found, in memory and in the run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True, eq=False, slots=True)
class Look:
    """Numbers by name, and the picture."""

    numbers: dict[str, float]
    picture: Path | None


def kept_look(out: Path, step: int) -> Look | None:
    """The look that a run in `out` took at a step, as it was written; None where there is none that can be read."""
    written, picture = (out / f"validation/step-{step:08d}.{suffix}" for suffix in ("json", "png"))
    try:
        told = orjson.loads(written.read_bytes())
        numbers = {str(name): float(value) for name, value in told.items() if name != "step"}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return Look(numbers, picture if picture.is_file() else None)
