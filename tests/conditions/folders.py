"""Folders and wants that the tests of the mask sources share."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.conditions.base import SourceContext, Want
from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.png import encode_png

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
TAXONOMY = earthsynth()
BASE = Want(None, 128, 128, 0.8, None, None, None, frozenset(), "train", 0)


def shared(*parts: str) -> Path:
    """A file of the larger data that is not part of the project; skips the test where it is absent."""
    path = ROOT.parent.joinpath("shared", "data", *parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)}, which does not ship with the project")
    return path


def context(cache: Path, base: Path = DATA, shares: dict[str, float] | None = None) -> SourceContext:
    """What a source is built with; everything in one split unless told otherwise."""
    return SourceContext(TAXONOMY, PromptWriter(TAXONOMY), shares or {"train": 1.0}, 7, base, cache)


def want(name: str | None, **changes: object) -> Want:
    """A want for a category by name."""
    return replace(BASE, category=TAXONOMY.named(name) if name else None, **changes)  # type: ignore[arg-type]


def write_masks(folder: Path, **masks: np.ndarray) -> Path:
    """A plain folder of id masks."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, mask in masks.items():
        (folder / f"{stem}.png").write_bytes(encode_png(mask))
    return folder


def write_prepared(folder: Path, mask: np.ndarray, instances: np.ndarray, metres_per_pixel: float = 1.0) -> Path:
    """A prepared folder of a single scene."""
    write_masks(folder / "masks", a=mask)
    write_masks(folder / "instances", a=instances)
    items = {"a": {"group": "scene", "split": "train", "metres_per_pixel": metres_per_pixel}}
    about = {"format": "earthsynth-factory/dataset", "version": 1, "name": "made", "licence": "none", "credit": "us"}
    names = {str(i): TAXONOMY[int(i)].name for i in np.unique(mask) if i}
    (folder / "dataset.json").write_text(json.dumps({**about, "classes": names, "items": items}))
    return folder
