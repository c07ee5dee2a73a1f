"""UCAS-AOD: `CAR/P0001.png` with `P0001.txt` of four corners, angle and upright box; `PLANE/`; `Neg/` without labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    Notes,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    Source,
    Strength,
)
from earthsynth_factory.importers.texts import read_lines
from earthsynth_factory.importers.words_of_layout import prefixed

INFO = DatasetInfo(
    name="UCAS-AOD",
    source="Zhu et al., ICIP 2015; Google Earth imagery",
    licence="research use",
    credit="UCAS-AOD, University of the Chinese Academy of Sciences",
    dense=False,
)


class UcasAod(Reader):
    """A folder is a class; the negatives have no objects of either."""

    kind = "ucas-aod"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for folder in tree.named("CAR", "PLANE"):
            files = tree.listing(folder, ".txt")[:3]
            if files and all(any(True for _ in _drawn(file, Notes())) for file in files):
                return Evidence(Strength.OWN, f"{tree.relative(files[0])}: thirteen numbers, in a folder {folder.name}")
        return None

    def open(self, request: ReadRequest) -> Source:
        tree, words, scenes = request.tree, Counter[str](), []
        for folder in tree.named("CAR", "PLANE", "Neg"):
            labels = tree.by_stem(folder, ".txt")
            for image in tree.listing(folder):
                file = labels.get(image.stem)
                if file is None and folder.name.lower() != "neg":
                    request.notes.left_out["image without a label file"] += 1
                    continue
                words.update(one.word for one in (_drawn(file, Notes()) if file else ()))
                stem = prefixed("UCAS_", f"{folder.name}_{image.stem}")
                scenes.append(Scene(stem, image, file, stem))
        if not scenes:
            raise SourceError(f"{request.path}: no CAR/, PLANE/ with images and text files")
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        drawn = _drawn(scene.labels, context.notes) if scene.labels else ()
        return SceneLabels(objects=filled(drawn, context.size, context.notes))


def _drawn(path: Path, notes: Notes) -> Iterator[Drawn]:
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            values = [float(word) for word in line.split()]
            if len(values) != 13:
                raise ValueError
        except ValueError:
            notes.fault(f"{path}:{number}", f"{line[:80]!r} is not four corners, an angle and a box")
            continue
        yield Drawn(path.parent.name.lower(), Given.of_corners(values[:8]), f"{path}:{number}")
