"""Where things lie that may be thrown away."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Folder for indexes that may be thrown away: `$XDG_CACHE_HOME` or `~/.cache`, in `earthsynth-factory`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earthsynth-factory"
