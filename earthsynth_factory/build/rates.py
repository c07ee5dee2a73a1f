"""Images a second, remembered from build to build, so that a plan can say how long it will take."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from earthsynth_factory.errors import DiskError
from earthsynth_factory.io.atomic import write_json
from earthsynth_factory.io.cache import cache_folder
from earthsynth_factory.recipe.schema import Recipe

LEAST_IMAGES = 8
"""Shorter sessions say more about loading than about the rate."""


def remember(recipe: Recipe, facts: Mapping[str, Any], images: int, seconds: float) -> None:
    """Keep the rate of a session that made enough images. A cache that cannot be written is no fault."""
    if images >= LEAST_IMAGES and facts:
        with suppress(DiskError):
            write_json(_path(), {**_all(), key(recipe): round(images / seconds, 4)})


def recall(recipe: Recipe) -> float | None:
    """Images a second of the last build with this generator and image size on this machine, if any."""
    rate = _all().get(key(recipe))
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def key(recipe: Recipe) -> str:
    """What the rate depends on: the generator's block and the image size."""
    block = recipe.synthesis.model_dump_json(exclude_none=True)
    return f"{block} {recipe.image.height}x{recipe.image.width} {recipe.engine.device}×{recipe.engine.workers}"


def _path() -> Any:
    return cache_folder() / "rates.json"


def _all() -> dict[str, Any]:
    try:
        found = orjson.loads(_path().read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
