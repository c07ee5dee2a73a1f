"""Features as they lie in a vector file, with the tags that rules ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasterio.crs import CRS

from earthsynth_factory.conditions.vector.tags import other_tags
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.vector_files import Area, Shapes, VectorLayer, read_vector_layers

OTHER_TAGS = "other_tags"
"""Where OGR's OpenStreetMap driver puts the tags that have no column of their own."""


@dataclass(frozen=True, eq=False)
class Layer:
    """shapes: (N,) geometries in `system`. tags: tag → a value a feature, None if it has none."""

    name: str
    system: CRS
    shapes: Shapes
    tags: dict[str, list[Any]]


def read_layers(path: Path, tags: Sequence[str], layers: frozenset[str] | None, area: Area | None) -> list[Layer]:
    """The features of the layers named (None: of all) that reach into the area, with these tags.

    Raises SourceError if the file cannot be read, says not where it lies, or has too many features.
    """
    found = read_vector_layers(path, layers, {*tags, OTHER_TAGS}, area)
    return [Layer(one.name, _system(path, one), one.shapes, _tags(one.columns, tags)) for one in found]


def _system(path: Path, layer: VectorLayer) -> CRS:
    if layer.system is None:
        raise SourceError(
            f"{path}: layer {layer.name!r} has no CRS; write the file again with one, so that it has a place"
        )
    return layer.system


def _tags(columns: dict[str, Any], wanted: Sequence[str]) -> dict[str, list[Any]]:
    """The wanted ones that are columns, or stand in the column of all others."""
    found = {name: [_plain(value) for value in values.tolist()] for name, values in columns.items() if name in wanted}
    if OTHER_TAGS in columns:
        rows = [other_tags(text) for text in columns[OTHER_TAGS].tolist()]
        for name in wanted:
            if name not in found:
                found[name] = [row.get(name) for row in rows]
    return found


def _plain(value: Any) -> Any:
    """What SQLite takes: a number, a text or None."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    return value if isinstance(value, int | float | str) else str(value)
