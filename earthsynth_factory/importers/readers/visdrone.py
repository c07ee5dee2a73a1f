"""VisDrone (detection): `images/*.jpg`, `annotations/*.txt` with `left,top,width,height,score,class,truncated,occluded`."""

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
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import prefixed, safe_stem

INFO = DatasetInfo(
    name="VisDrone",
    source="Zhu et al., TPAMI 2021; images of drones over China",
    licence="research use",
    credit="VisDrone, Tianjin University",
    dense=False,
)

WORDS = [
    "ignore",
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
    "others",
]
"""By number. 0 is a region that nobody labelled."""

WITHOUT = frozenset({"pedestrian", "people", "bicycle", "tricycle", "awning-tricycle", "motor", "others"})
"""What has no category, and is left out unless the map file names it."""

LOOKED_AT = 3


class VisDrone(Reader):
    """Ignored regions, and objects whose score is 0, are of no class."""

    kind = "visdrone"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for folder, _ in _folders(tree):
            files = tree.listing(folder, ".txt")[:LOOKED_AT]
            if files and all(_rows(file) for file in files):
                return Evidence(Strength.OWN, f"{tree.relative(files[0])}: eight numbers with commas")
        return None

    def open(self, request: ReadRequest) -> Source:
        tree, words, scenes = request.tree, Counter[str](), []
        for folder, home in _folders(tree):
            images = tree.by_stem(home)
            for file in tree.listing(folder, ".txt"):
                if file.stem not in images:
                    request.notes.fault(file, "its image is missing")
                    continue
                for number, *_ in _rows(file):
                    word = WORDS[number]
                    if word in WITHOUT and request.classes.find(word) is None:
                        request.notes.left_out[f"{word}: no category for it"] += 1
                    else:
                        words[word] += 1
                stem = prefixed("VisDrone_", safe_stem(file.stem))
                # Frames of one flight begin alike.
                group = prefixed("VisDrone_", file.stem.split("_")[0])
                scenes.append(Scene(stem, images[file.stem], file, group, _split(file)))
        if not scenes:
            raise SourceError(f"{request.path}: no annotations/*.txt of VisDrone with images/")
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return SceneLabels(objects=filled(_drawn(scene.labels, context), context.size, context.notes))


def _folders(tree: Tree) -> list[tuple[Path, Path]]:
    found = ((folder, tree.inner(folder.parent, "images")) for folder in tree.named("annotations"))
    return [(folder, images) for folder, images in found if images is not None]


def _split(path: Path) -> str | None:
    """Its folders are called VisDrone2019-DET-train, …-val, …-test-dev."""
    parts = " ".join(path.parts[-4:]).lower()
    return next((split for split in ("train", "val", "test") if f"-{split}" in parts), None)


def _rows(path: Path, notes: Notes | None = None) -> list[tuple[int, Given, bool]]:
    """Class, box, and whether it counts: a score of 0 says that it is not to be judged."""
    found = []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            left, top, width, height, score, kind, _, _ = (int(word) for word in line.rstrip(" ,").split(","))
            if not 0 <= kind < len(WORDS):
                raise ValueError
        except ValueError:
            if notes is None:
                return []
            notes.fault(f"{path}:{number}", f"{line[:80]!r} is not eight numbers with a known class")
            continue
        found.append((kind, Given.of_box(left, top, width, height), score != 0))
    return found


def _drawn(path: Path, context: ReadContext) -> Iterator[Drawn]:
    for number, (kind, given, counts) in enumerate(_rows(path, context.notes), start=1):
        word = WORDS[kind]
        if word not in WITHOUT or context.classes.find(word) is not None:
            yield Drawn(word, given, f"{path}, object {number}", crowd=not counts and kind > 0)
