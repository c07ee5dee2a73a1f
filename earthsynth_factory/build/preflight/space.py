"""Is there room for it, on the disk and in memory?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from earthsynth_factory.build.plan import BYTES_PER_PIXEL
from earthsynth_factory.build.preflight.finding import Finding, Findings
from earthsynth_factory.errors import ModelError
from earthsynth_factory.recipe.load import LoadedRecipe

GIGABYTE = 1 << 30


def look(loaded: LoadedRecipe, out: Path | None) -> Findings:
    """Less free space than the masters take; less memory than the weights."""
    recipe = loaded.recipe
    wanted = recipe.images * recipe.image.height * recipe.image.width * BYTES_PER_PIXEL
    place = _existing(out or Path.cwd())
    free = shutil.disk_usage(place).free
    if wanted > free:
        said = (
            f"about {wanted / GIGABYTE:.1f} GiB are wanted and {free / GIGABYTE:.1f} GiB are free in {place}; free some, "
            "choose another --out, or ask for less"
        )
        yield Finding(("categories",), said)
    weights, memory = weights_here(loaded), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if weights > memory and recipe.engine.device == "cpu":
        said = f"its weights are {weights / GIGABYTE:.1f} GiB, this machine has {memory / GIGABYTE:.1f} GiB of memory"
        yield Finding(("synthesis", "model"), said)


def _existing(path: Path) -> Path:
    """The folder, or the nearest one above that exists."""
    return next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.is_dir())


def weights_here(loaded: LoadedRecipe) -> int:
    """Bytes of the model's weights that lie on this machine."""
    from earthsynth_factory.models.hub import cached

    synthesis = loaded.recipe.synthesis
    try:
        here = all(cached(one) for one in synthesis.repositories(loaded.base))
        return sum(path.stat().st_size for path in set(synthesis.weights(loaded.base))) if here else 0
    except ModelError:
        return 0
