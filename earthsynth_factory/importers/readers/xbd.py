"""xBD: `labels/<name>.json` with building outlines as WKT in pixels, before and after a disaster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.vector_shapes import shape_polygons
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
from earthsynth_factory.importers.texts import read_json
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import prefixed, safe_stem, split_of

INFO = DatasetInfo(
    name="xBD",
    source="Gupta et al., CVPR workshops 2019; Maxar imagery of the Open Data Program",
    licence="CC BY-NC-SA 4.0",
    credit="xBD, Defense Innovation Unit and Carnegie Mellon University",
    dense=False,
)


class Xbd(Reader):
    """A class is what it is and, after a disaster, its damage: `building destroyed`. Unless the map file names such a word,
    it is a building.
    """

    kind = "xbd"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for file in _files(tree):
            return Evidence(Strength.OWN, f"{tree.relative(file)}: outlines of a disaster as WKT")
        return None

    def open(self, request: ReadRequest) -> Source:
        tree, finder = request.tree, ImageFinder(request.tree)
        words, scenes = Counter[str](), []
        for file in _files(tree, every=True):
            try:
                document = read_json(file)
                about = dict(document["metadata"])
                drawn = list(_drawn(document, file, request.classes, Notes()))
            except (SourceError, KeyError, TypeError, ValueError) as error:
                request.notes.fault(file, f"no JSON of xBD ({error})")
                continue
            image = finder.find(f"{file.stem}.png", file.parent.parent, split_of(file, tree.root))
            if image is None:
                request.notes.fault(file, "its image is missing, or several have its name")
                continue
            words.update(one.word for one in drawn)
            stem = prefixed("xBD_", safe_stem(image.stem))
            # Before and after are one place.
            group = prefixed("xBD_", image.stem.replace("_pre_disaster", "").replace("_post_disaster", ""))
            scenes.append(Scene(stem, image, file, group, split_of(file, tree.root), _scale(about), size=_size(about)))
        if not scenes:
            raise SourceError(f"{request.path}: no labels/*.json of xBD with their images")
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        drawn = _drawn(read_json(scene.labels), scene.labels, context.classes, context.notes)
        return SceneLabels(objects=filled(drawn, context.size, context.notes))


def _files(tree: Tree, every: bool = False) -> Iterator[Path]:
    for folder in tree.named("labels"):
        files = tree.listing(folder, ".json")
        if files and _head_fits(files[0]):
            yield from files if every else files[:1]


def _head_fits(path: Path) -> bool:
    try:
        document = read_json(path)
    except SourceError:
        return False
    return (
        isinstance(document, dict)
        and "disaster" in str(document.get("metadata"))
        and "xy" in str(document.get("features"))
    )


def _drawn(document: Any, file: Path, classes: ClassMap, notes: Notes) -> Iterator[Drawn]:
    import shapely  # takes a tenth of a second to import

    features = document.get("features")
    found = features.get("xy") if isinstance(features, dict) else None
    if not isinstance(found, list):
        raise SourceError(f"{file}: features: no list of outlines in pixels (xy)")
    for number, feature in enumerate(found, start=1):
        place = f"{file}, object {number}"
        try:
            about = dict(feature["properties"])
            rings = shape_polygons(shapely.from_wkt(feature["wkt"]))
        except (KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
            notes.fault(place, f"no outline in WKT ({error})")
            continue
        word = str(about.get("feature_type", "building"))
        damaged = f"{word} {about['subtype']}" if about.get("subtype") else word
        yield Drawn(classes.usual(damaged, word), Given.of_polygons(rings), place)


def _scale(about: dict[str, Any]) -> float | None:
    """Metres per pixel, if the image has its first size."""
    metres = about.get("gsd")
    same = about.get("original_width", about.get("width")) == about.get("width")
    return float(metres) if isinstance(metres, int | float) and same and 0.001 < metres < 1000 else None


def _size(about: dict[str, Any]) -> tuple[int, int] | None:
    height, width = about.get("height"), about.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0 else None
