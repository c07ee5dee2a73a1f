"""Our own prepared layout, as `prepare`, `split`, `merge` and the `prepared` export write it: to be cut anew, or mapped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from earthsynth_factory.datasets.prepared.document import is_document
from earthsynth_factory.datasets.prepared.layout import DOCUMENT
from earthsynth_factory.datasets.prepared.reader import PreparedDataset, parse_line
from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.rle import decode_patch
from earthsynth_factory.importers.outlines import MAX_PATCH
from earthsynth_factory.importers.readers.dense import ids_table
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    Notes,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    SceneObject,
    Source,
    Strength,
)
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.io.label_rasters import id_raster


class Prepared(Reader):
    """Classes, objects with their outlines, groups, splits and scales come over as they are."""

    kind = "prepared"
    forms = ("masks", "earthsynth-180k")

    def recognise(self, request: ReadRequest) -> Evidence | None:
        for root in _roots(request.tree):
            return Evidence(Strength.OWN, f"{request.tree.relative(root / DOCUMENT)} of our own layout")
        return None

    def open(self, request: ReadRequest) -> Source:
        scenes: list[Scene] = []
        words: Counter[str] = Counter()
        info = None
        for root in _roots(request.tree):
            dataset = PreparedDataset(root)
            about = dataset.about
            info = info or DatasetInfo(about.name, about.source, about.licence, about.credit, about.dense)
            names = tuple((category, name) for category, name in about.classes.items())
            lines = _places(dataset, names, words)
            for stem, item in about.items.items():
                labels = (dataset.files_of(stem)[1], dataset.lines, lines.get(stem), names)
                image, scale = dataset.path_of(stem), item.metres_per_pixel
                scenes.append(Scene(stem, image, labels, item.group, item.split, scale, item.size, (labels[1],)))
        if info is None:
            raise SourceError(f"{request.path}: no dataset.json of our own layout")
        return Source(info, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        mask, file, place, names = scene.labels
        table = ids_table({0: "background", 255: "ignore"} | dict(names), context.classes)
        objects = [] if place is None else _objects(file, place, dict(names), context.size, context.notes)
        return SceneLabels(id_raster(mask, table, context.notes.remarks), tuple(objects))


def _roots(tree: Tree) -> list[Path]:
    return [file.parent for file in tree.called(DOCUMENT) if is_document(file)]


def _places(dataset: PreparedDataset, names: tuple[tuple[int, str], ...], words: Counter[str]) -> dict[str, int]:
    """Where each item's line begins; its objects are counted."""
    known, found = dict(names), {}
    for place, line in dataset.placed_lines():
        found[line.stem] = place
        words.update(known.get(one.category, str(one.category)) for one in line.instances)
    words.update(dict.fromkeys(known.values(), 0))
    return found


def _objects(path: Path, place: int, names: dict[int, str], size: tuple[int, int], notes: Notes) -> list[SceneObject]:
    with path.open("rb") as file:
        file.seek(place)
        line = parse_line(file.readline())
    found = []
    for one in line.instances:
        try:
            patch = decode_patch(one.rle, *size, MAX_PATCH)
        except ValueError as error:
            notes.fault(f"{path}, {line.stem}, object {one.id}", str(error))
            continue
        if patch is not None:
            crowd, difficult = "crowd" in one.flags, "difficult" in one.flags
            found.append(SceneObject(names.get(one.category, str(one.category)), *patch, crowd, difficult, one.given))
    return found
