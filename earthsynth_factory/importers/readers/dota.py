"""DOTA's text form: `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` below optional headers, a file an image, wherever both lie.

The form is not the dataset: only images called as DOTA's are (P0000 …) get its name, licence and credit.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.finder import ImageFinder
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
from earthsynth_factory.importers.words_of_layout import group_of, prefixed, safe_stem, split_of

INFO = DatasetInfo(
    name="DOTA",
    source="Xia et al., CVPR 2018; Ding et al., TPAMI 2021",
    licence="academic use; Google Earth, GF-2, JL-1 and Cyclomedia imagery under their own terms",
    credit="DOTA, Wuhan University",
    dense=False,
)

OWN_STEM = re.compile(r"P\d{4}(__.+)?")
"""How DOTA calls its scenes, and its splitter their tiles: <scene>__<scale>__<x>___<y>."""

LOOKED_AT = 3
"""Text files of a folder that are looked at."""


class Dota(Reader):
    """Oriented boxes keep their four corners. An image without a text file holds nothing labelled and is left out.

    Of several versions of the labels the newest is taken, and said.
    """

    kind = "dota"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for folder in tree.folders:
            for file in tree.listing(folder, ".txt")[:LOOKED_AT]:
                if any(True for _ in _drawn(file, Notes())):
                    return Evidence(Strength.FORMAT, f"{tree.relative(file)}: eight corners, class and difficulty")
        return None

    def open(self, request: ReadRequest) -> Source:
        tree, finder = request.tree, ImageFinder(request.tree)
        by_image: dict[Path, list[Path]] = defaultdict(list)
        for file in _label_files(tree):
            image = finder.find(f"{file.stem}.png", file.parent.parent, split_of(file, tree.root))
            if image is None:
                request.notes.fault(file, "its image is missing, or several have its name")
            else:
                by_image[image].append(file)
        if not by_image:
            raise SourceError(
                f"{request.path}: no label file of eight corners, class and difficulty has its image there"
            )
        chosen = {image: _newest(files, tree) for image, files in by_image.items()}
        _say_left(request, by_image, chosen)
        ours = all(OWN_STEM.fullmatch(image.stem) for image in chosen)
        words, scenes = Counter[str](), []
        for image, file in chosen.items():
            words.update(one.word for one in _drawn(file, Notes()))
            scenes.append(_scene(tree, image, file, ours))
        own = DatasetInfo(request.name, "oriented boxes in DOTA's form", "unknown", "", dense=False)
        return Source(INFO if ours else own, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return SceneLabels(objects=filled(_drawn(scene.labels, context.notes), context.size, context.notes))


def _label_files(tree: Tree) -> list[Path]:
    """The text files of every folder whose first ones are of this form, or hold nothing while others there do."""
    found = []
    for folder in tree.folders:
        files = tree.listing(folder, ".txt")
        if any(any(True for _ in _drawn(file, Notes())) for file in files):
            found += files
    return found


def _scene(tree: Tree, image: Path, file: Path, ours: bool) -> Scene:
    split = split_of(file, tree.root) or split_of(image, tree.root)
    scene = image.stem.split("__")[0]
    group = prefixed("DOTA_", scene) if ours else group_of(image.with_stem(scene), tree.root)
    stem = safe_stem(image.stem)
    return Scene(prefixed("DOTA_", stem) if ours else stem, image, file, group, split, _gsd(file))


def _newest(files: list[Path], tree: Tree) -> Path:
    """The newest version; of one version the oriented boxes rather than the upright ones made of them."""
    return max(files, key=lambda file: (_version(file, tree), "reclabel" not in str(file).lower(), str(file)))


def _version(file: Path, tree: Tree) -> float:
    """What a folder on the way says: `labelTxt-v1.5`, `version2.0`; 0 if none does."""
    found = re.findall(r"v(?:ersion)?[-_ ]?(\d\.\d)", str(tree.relative(file.parent)).lower())
    return float(found[-1]) if found else 0.0


def _say_left(request: ReadRequest, by_image: dict[Path, list[Path]], chosen: dict[Path, Path]) -> None:
    tree, notes = request.tree, request.notes
    taken, there = (
        sorted({_version(file, tree) for file in files} - {0.0})
        for files in (chosen.values(), (file for files in by_image.values() for file in files))
    )
    if len(there) > 1:
        said = " and ".join(f"v{version}" for version in taken)
        notes.remarks[f"labels of several versions ({', '.join(f'v{v}' for v in there)}): {said} taken"] += len(chosen)
    alone = sum(len(tree.listing(folder)) for folder in {image.parent for image in chosen}) - len(chosen)
    if alone:
        notes.left_out["image without a label file"] += alone


def _drawn(path: Path, notes: Notes) -> Iterator[Drawn]:
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        # Headers, and the line of zeros that stands for "no header" in some releases.
        if not words or ":" in words[0] or all(word == "0" for word in words):
            continue
        try:
            words[8:] = _class_and_difficulty(words[8:])
            if len(words) not in (9, 10):
                raise ValueError
            corners = [float(word) for word in words[:8]]
        except ValueError:
            notes.fault(f"{path}:{number}", f"{line[:80]!r} is not eight numbers, a class and a difficulty")
            continue
        if _is_number(words[8]):  # ten numbers: another form
            notes.fault(f"{path}:{number}", f"{line[:80]!r} has no class")
            continue
        given = Given.of_corners(corners)
        yield Drawn(words[8], given, f"{path}:{number}", difficult=words[9:] not in ([], ["0"]))


def _class_and_difficulty(words: list[str]) -> list[str]:
    """A class of several words is one: `small vehicle 0`."""
    last = words[-1:] if words and words[-1].isdigit() else []
    named = words[: len(words) - len(last)]
    return [" ".join(named), *last] if len(named) > 1 and not any(map(_is_number, named)) else words


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _gsd(path: Path) -> float | None:
    """Metres per pixel from the header, if it is a number that an overhead image may have."""
    for line in read_lines(path)[:3]:
        key, _, value = line.strip().partition(":")
        if key == "gsd" and _is_number(value) and 0.001 < float(value) < 1000:
            return float(value)
    return None
