"""RSSCN7's photographs as a prepared dataset: each is labelled whole, by what kind of land it shows.

A coarse truth (a residential quarter has streets and trees) and the same as that of other sets' `urban land`. Photographs
go by class letter and number, in four bands of a hundred from fine to coarse. Metres per pixel are estimates, from the
size of houses and cars. Its classes of water and of parking lots are too mixed for one label and are left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import FactoryError, SourceError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png

CLASSES = {"a": "grass", "b": "agriculture land", "c": "urban land", "d": "forest land", "e": "urban land"}
KEPT = {"a": 50, "b": 66, "c": 90, "d": 50, "e": 200}
"""Photographs of a class that are taken, evenly spread over its four bands."""

BANDS = (0.2, 0.4, 0.8, 1.6)
"""Estimated metres per pixel of the four bands."""

HELD_OUT = 9
"""Every so manieth photograph is for testing."""


def import_rsscn7(source: Path, out: Path) -> int:
    """Writes `out` in the prepared layout; gives the number of photographs. Raises SourceError if they are missing."""
    items, classes = {}, {}
    for letter, name in CLASSES.items():
        category = earthsynth().named(name).id
        classes[str(category)] = name
        photographs = sorted(source.glob(f"{letter}*/{letter}[0-9][0-9][0-9].jpg"))
        if not photographs:
            raise SourceError(
                f"{source}: no photographs {letter}001.jpg … of RSSCN7 here; name the folder that holds them"
            )
        for number in np.linspace(0, len(photographs) - 1, KEPT[letter]).astype(int).tolist():
            items[photographs[number].stem] = _add(photographs[number], number, category, out)
    about = {"format": "earthsynth-factory/dataset", "version": 1, "name": "RSSCN7", "dense": True}
    write_bytes(out / "dataset.json", json.dumps(about | {"classes": classes, "items": items}, indent=1).encode())
    return len(items)


def _add(photograph: Path, number: int, category: int, out: Path) -> dict[str, object]:
    pixels = cv2.imread(str(photograph))
    if pixels is None:
        raise SourceError(f"{photograph}: cannot be decoded; fetch it again")
    (out / "images").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(photograph, out / "images" / photograph.name)
    write_bytes(out / "masks" / f"{photograph.stem}.png", encode_png(np.full(pixels.shape[:2], category, np.uint8)))
    split = "test" if number % HELD_OUT == 0 else "train"
    scale = BANDS[min(number // 100, len(BANDS) - 1)]
    return {"group": photograph.stem, "split": split, "metres_per_pixel": scale}


def main() -> int:
    """`python -m research.embedded.scene_classes RSSCN7 OUT`; gives the error tree's exit code."""
    parser = argparse.ArgumentParser(prog="research.embedded.scene_classes", description=__doc__)
    parser.add_argument("source", type=Path, help="folder that holds aGrass, bField, …")
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    try:
        print(f"{given.out}: {import_rsscn7(given.source, given.out)} photographs")
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
