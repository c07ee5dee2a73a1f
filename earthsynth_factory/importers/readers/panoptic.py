"""COCO panoptic: a JSON with `segments_info` and PNGs whose pixels are R + 256 G + 65536 B, the segment's id; 0 is void."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import IGNORE
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.finder import ImageFinder, folded
from earthsynth_factory.importers.json_pieces import pieces, read_piece
from earthsynth_factory.importers.outlines import trim
from earthsynth_factory.importers.readers.coco_document import coco_size, flag, identity
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
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
from earthsynth_factory.importers.words_of_layout import group_of, safe_stem, split_of, split_word
from earthsynth_factory.io.pictures import Picture

Numbers = npt.NDArray[np.uint32]
"""(H, W) segment ids."""


_Masks = dict[tuple[str, str], list[Path]]


@dataclass(frozen=True)
class _Segment:
    word: str
    thing: bool
    crowd: bool


class Panoptic(Reader):
    """Things are objects, the rest is land cover; void is of no class."""

    kind = "coco-panoptic"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for file in _files(tree):
            return Evidence(Strength.FORMAT, f"{tree.relative(file)}: segments_info")
        return None

    def open(self, request: ReadRequest) -> Source:
        words, scenes = Counter[str](), []
        masks, finder = _pictures(request.tree), ImageFinder(request.tree)
        for file in _files(request.tree):
            document = _read(file)
            words.update({name: 0 for name, _ in document.names.values()})
            for image, place in document.segments.items():
                scene = _scene(file, document, image, masks, finder, request)
                if scene is not None:
                    scenes.append(scene)
                    used = (identity(one.get("category_id")) for one in _infos(file, place.start, place.length))
                    words.update(document.names[category][0] for category in used if category in document.names)
        if not scenes:
            raise SourceError(f"{request.path}: no panoptic JSON (segments_info) with its PNGs and images")
        info = DatasetInfo(request.name, "COCO panoptic annotations", "unknown", "", dense=True)
        return Source(info, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        file, start, length, mask, names = scene.labels
        known = dict(names)
        segments: dict[int, _Segment] = {}
        for one in _infos(file, start, length):
            index, category = identity(one.get("id")), identity(one.get("category_id"))
            if isinstance(index, int) and category in known:
                word, thing = known[category]
                segments[index] = _Segment(word, thing, flag(one.get("iscrowd")))
            else:
                context.notes.fault(f"{mask}", f"segment {one.get('id')!r} is of no listed category")
        numbers = _numbers(mask)
        return SceneLabels(_Raster(mask, numbers, segments, context.classes), _objects(numbers, segments))


class _Raster:
    """Category ids of a picture of segments."""

    def __init__(self, path: Path, numbers: Numbers, segments: dict[int, _Segment], classes: ClassMap) -> None:
        self._path, self._numbers = path, numbers
        self._table = {0: IGNORE} | {number: classes.id_of(one.word) for number, one in segments.items()}
        self.shape = (numbers.shape[0], numbers.shape[1])

    def rows(self, top: int, bottom: int, left: int = 0, right: int | None = None) -> npt.NDArray[np.uint8]:
        window = self._numbers[top:bottom, left:right]
        values, place = np.unique(window, return_inverse=True)
        strange = [int(value) for value in values if int(value) not in self._table]
        if strange:
            raise SourceError(f"{self._path}: segments {strange[:5]} are not in segments_info")
        found = np.array([self._table[int(value)] for value in values], np.uint8)[place]
        return np.asarray(found.reshape(window.shape), np.uint8)

    def close(self) -> None:
        pass


def _files(tree: Tree) -> list[Path]:
    found = [tree.file] if tree.file else [path for path in tree.files(".json") if "panoptic" in path.name.lower()]
    return [path for path in found if path.suffix.lower() == ".json" and _head_fits(path)]


def _head_fits(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
            file.seek(max(0, path.stat().st_size - (1 << 16)))
            return b'"segments_info"' in head + file.read()
    except OSError:
        return False


class _Place(NamedTuple):
    start: int
    length: int
    mask: str


@dataclass
class _Document:
    """names: category → name and whether it is a thing. segments: image → where its entry stands."""

    names: dict[Any, tuple[str, bool]] = field(default_factory=dict)
    images: dict[Any, dict[str, Any]] = field(default_factory=dict)
    segments: dict[Any, _Place] = field(default_factory=dict)


def _read(path: Path) -> _Document:
    found = _Document()
    for piece in pieces(path, "images", "annotations", "categories"):
        value = piece.value
        try:
            if piece.key == "categories":
                found.names[identity(value["id"])] = (str(value["name"]), flag(value.get("isthing", 1)))
            elif piece.key == "images":
                found.images[identity(value["id"])] = value
            else:
                place = _Place(piece.start, piece.length, str(value["file_name"]))
                found.segments[identity(value["image_id"])] = place
        except KeyError as error:
            raise SourceError(f"{path}: an entry of {piece.key} lacks {error}") from error
    return found


def _scene(
    file: Path, document: _Document, image: Any, masks: _Masks, finder: ImageFinder, request: ReadRequest
) -> Scene | None:
    root, place, listed = request.tree.root, document.segments[image], document.images.get(image, {})
    split = split_word(file.stem) or split_of(file, root)
    found = masks.get((folded(file.stem), folded(Path(place.mask).stem)), [])
    path = finder.find(f"{split or ''}/{listed.get('file_name', '')}", file.parent, split)
    if path is None or len(found) != 1:
        request.notes.fault(file, f"{place.mask[:200]!r}: it, or its image, is missing")
        return None
    labels = (file, place.start, place.length, found[0], tuple(document.names.items()))
    scale, group = listed.get("metres_per_pixel"), group_of(path, root)
    scale = scale if isinstance(scale, float) else None
    return Scene(
        safe_stem(path.stem), path, labels, group, split or split_of(path, root), scale, coco_size(listed), (file,)
    )


def _infos(path: Path, start: int, length: int) -> list[dict[str, Any]]:
    found = read_piece(path, start, length).get("segments_info")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _pictures(tree: Tree) -> _Masks:
    """(folder, stem) → PNGs; the folder is called as the JSON is."""
    found: _Masks = {}
    for path in tree.files(".png"):
        found.setdefault((folded(path.parent.name), folded(path.stem)), []).append(path)
    return found


def _numbers(path: Path) -> Numbers:
    with Picture(path) as picture:
        wide = picture.rgb(0, picture.shape[0]).astype(np.uint32)
    return np.asarray(wide[..., 0] | wide[..., 1] << 8 | wide[..., 2] << 16, np.uint32)


def _objects(numbers: Numbers, segments: dict[int, _Segment]) -> tuple[SceneObject, ...]:
    found = []
    for number, one in segments.items():
        patch = trim(numbers == number) if one.thing else None
        if patch is not None:
            found.append(SceneObject(one.word, *patch, crowd=one.crowd))
    return tuple(found)
