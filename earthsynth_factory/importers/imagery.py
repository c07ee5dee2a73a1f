"""How a dataset's images become pictures of 8 bits: settled once, written beside them, the same for every later run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from earthsynth_factory.errors import InputError, SourceError, StoreError
from earthsynth_factory.importers.scene import Notes, Scene
from earthsynth_factory.io.atomic import write_json
from earthsynth_factory.io.pictures import Picture, Rendering
from earthsynth_factory.io.raster_files import gdal_settings
from earthsynth_factory.io.stretch import USUAL, Stretch, StretchRule
from earthsynth_factory.io.whole_files import is_shallow_png

LOOKED_AT = 64
"""Images, evenly spread over a dataset, from which the stretch is settled."""

_EIGHT_BITS = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp")
"""Suffixes of files that hold no more."""


def settle(
    place: Path, scenes: Sequence[Scene], rule: str | None, bands: tuple[int, int, int] | None, notes: Notes
) -> Rendering:
    """The rendering of the dataset's images; read from the file `place` if an earlier run settled it.

    rule: as `--stretch`, None for the usual one if an image that is looked at has more than 8 bits. Raises `InputError` if
    the rule or the bands cannot be, `StoreError` if what was settled is damaged.
    """
    wanted = StretchRule.of(rule or USUAL)
    if bands and (len(bands) != 3 or min(bands) < 1):
        raise InputError(
            f"--bands {','.join(map(str, bands))}: three numbers from 1, for red, green and blue, as 4,3,2"
        )
    rendering = _settled(place) if place.is_file() else _measured(scenes, wanted, bands)
    if (rendering.stretch or bands) and not place.is_file():
        write_json(place, fields(rendering))
    if stretch := rendering.stretch:
        low, high = (", ".join(f"{value:g}" for value in end) for end in (stretch.low, stretch.high))
        notes.remarks[
            f"imagery of more than 8 bits: {stretch.rule} of the dataset, {low} becomes 0 and {high} 255"
        ] += 1
    return rendering


def _measured(scenes: Sequence[Scene], rule: StretchRule, bands: tuple[int, int, int] | None) -> Rendering:
    deep = list(islice(_deep(_spread(scenes), Rendering(bands=bands)), LOOKED_AT))
    return Rendering(rule.settle(deep) if deep else None, bands)


def fields(rendering: Rendering) -> dict[str, Any]:
    """As plain values, for dataset.json; empty if images are taken as they are."""
    found: dict[str, Any] = {"stretch": rendering.stretch.fields()} if rendering.stretch else {}
    return {**found, "bands": list(rendering.bands)} if rendering.bands else found


def _settled(place: Path) -> Rendering:
    try:
        data = orjson.loads(place.read_bytes())
        red, green, blue = data.get("bands") or (0, 0, 0)
        stretch = Stretch.parse(data["stretch"]) if data.get("stretch") else None
        return Rendering(stretch, (int(red), int(green), int(blue)) if red else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{place}: damaged; remove it and prepare into a new folder") from error


def _spread(scenes: Sequence[Scene]) -> list[Path]:
    """Images that may have more than 8 bits, at most four times as many as are looked at, evenly spread."""
    images = [scene.image for scene in scenes if scene.image.suffix.lower() not in _EIGHT_BITS]
    step = max(1, len(images) // (4 * LOOKED_AT))
    return [image for image in images[::step] if not is_shallow_png(image)]


def _deep(images: Sequence[Path], rendering: Rendering) -> Iterator[npt.NDArray[np.generic]]:
    """Values of those that have more than 8 bits. What cannot be read is told when its turn comes."""
    for image in images:
        try:
            with gdal_settings(), Picture(image, rendering) as picture:
                if picture.dtype != "uint8":
                    yield picture.values()
        except SourceError:
            continue
