"""DOTA: `images/*.png`, `labelTxt*/<stem>.txt` with `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` below optional headers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.files import (
    by_stem,
    folders_named,
    listing,
    prefixed,
    read_lines,
    split_of,
)
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Notes, Reader, Request, Scene, Source

INFO = DatasetInfo(
    name="DOTA",
    source="Xia et al., CVPR 2018; Ding et al., TPAMI 2021",
    licence="academic use; Google Earth, GF-2, JL-1 and Cyclomedia imagery under their own terms",
    credit="DOTA, Wuhan University",
    dense=False,
)

_FOLDERS = ("labelTxt", "labelTxt-v1.0", "labelTxt-v1.5", "labelTxt-v2.0", "annfiles")


class Dota(Reader):
    """Oriented boxes keep their four corners. An image without a text file holds nothing labelled and is left out."""

    kind = "dota"

    def recognise(self, path: Path) -> str | None:
        for folder in folders_named(path, *_FOLDERS):
            for file in listing(folder, ".txt")[:8]:
                if any(True for _ in _drawn(file, Notes())):
                    return f"{file.name}: eight corners, class and difficulty"
        return None

    def open(self, request: Request) -> Source:
        scenes, words = [], Counter[str]()
        for folder in folders_named(request.path, *_FOLDERS):
            images = by_stem(folder.parent / "images")
            for file in listing(folder, ".txt"):
                if file.stem not in images:
                    request.notes.fault(file, "its image is missing")
                    continue
                words.update(one.word for one in _drawn(file, Notes()))
                # Tiles of DOTA's own splitter are called <scene>__<scale>__<x>___<y>.
                group = prefixed("DOTA_", file.stem.split("__")[0])
                split = split_of(folder, request.path)
                scenes.append(Scene(prefixed("DOTA_", file.stem), images[file.stem], file, group, split, _gsd(file)))
        if not scenes:
            raise SourceError(f"{request.path}: no labelTxt/*.txt with images/; give the folder that holds both")
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return Labels(objects=filled(_drawn(scene.labels, aid.notes), aid.size, aid.notes))


def _drawn(path: Path, notes: Notes) -> Iterator[Drawn]:
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        # Headers, and the line of zeros that stands for "no header" in some releases.
        if not words or ":" in words[0] or all(word == "0" for word in words):
            continue
        try:
            if len(words) not in (9, 10):
                raise ValueError
            given = Given.of_corners(map(float, words[:8]))
        except ValueError:
            notes.fault(f"{path}:{number}", f"{line[:80]!r} is not eight numbers, a class and a difficulty")
            continue
        yield Drawn(words[8], given, f"{path}:{number}", difficult=words[9:] not in ([], ["0"]))


def _gsd(path: Path) -> float | None:
    """Metres per pixel from the header, where it is a number that an overhead image may have."""
    for line in read_lines(path)[:3]:
        found = re.fullmatch(r"gsd:\s*([0-9.]+(?:[eE][-+]?\d+)?)", line.strip())
        if found and 0.001 < float(found[1]) < 1000:
            return float(found[1])
    return None
