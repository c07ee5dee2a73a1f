"""LAE-1M: boxes alone, as COCO-style JSON or ODVG lines. Boxes become rectangles, or what a segmenter made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.coco import coco_labels, looks_like_coco, read_files
from earthsynth_factory.importers.readers.files import ImageFinder, prefixed, read_json, safe_stem, split_of, walk
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Notes, Reader, Request, Scene, Source

INFO = DatasetInfo(
    name="LAE-1M",
    source="Pan et al., AAAI 2025; imagery of many published sets",
    licence="under the terms of each source",
    credit="LAE-DINO",
    dense=False,
)

MAX_LINE = 1 << 24
"""Longest line of an ODVG file that is parsed, in bytes."""


class Lae(Reader):
    """`LAE-COD/` and `LAE-FOD/` with a JSON per set; images are found by name below the folder given."""

    kind = "lae"

    def recognise(self, path: Path) -> str | None:
        named = [p for p in ((path, *path.iterdir()) if path.is_dir() else ()) if p.name in ("LAE-COD", "LAE-FOD")]
        if named:
            return f"a folder {named[0].name}"
        for file in _annotation_files(path):
            if "LAE-1M" in file.name or (file.suffix == ".jsonl" and _looks_like_odvg(file)):
                return f"{file.name}: annotations of LAE-1M"
        return None

    def open(self, request: Request) -> Source:
        files = _annotation_files(request.path)
        root = request.path if request.path.is_dir() else request.path.parent
        lines = [file for file in files if file.suffix == ".jsonl" or _looks_like_odvg(file)]
        documents = [file for file in files if file not in lines and looks_like_coco(file)]
        segments = read_segments(request.segments) if request.segments else {}
        boxes = read_files(documents, root, INFO, request.notes, segments, prefix="LAE_")
        words, scenes = Counter(boxes.words), list(boxes.scenes)
        finder = ImageFinder(root)
        for file in (found for found in lines if _has_boxes(found, request.notes)):
            for scene in _odvg_scenes(file, root, finder, request.notes):
                words.update(entry["word"] for entry in scene.labels[1])
                scenes.append(scene)
        if not scenes:
            raise SourceError(
                f"{request.path}: no annotations of LAE-1M with their images; give the folder that holds both"
            )
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return coco_labels(scene, aid.size, aid.notes)


def read_segments(path: Path) -> dict[int, Any]:
    """Annotation id → COCO segmentation, from a COCO file or a list of results with `id` or `annotation_id`."""
    document = read_json(path)
    entries = document.get("annotations") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise SourceError(f"{path}: a list of {{id, segmentation}}, or a COCO file, is wanted")
    found = {}
    for number, entry in enumerate(entries):
        identity = entry.get("annotation_id", entry.get("id")) if isinstance(entry, dict) else None
        if not isinstance(identity, int) or not entry.get("segmentation"):
            raise SourceError(f"{path}: entry {number} has no annotation id and segmentation")
        found[identity] = entry["segmentation"]
    return found


def _annotation_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [p for p in walk(path) if p.suffix in (".json", ".jsonl") and not p.name.endswith("_categories.json")]


def _looks_like_odvg(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(1 << 14).split(b"\n")[0]
    return b'"filename"' in head and (b'"detection"' in head or b'"grounding"' in head)


def _has_boxes(path: Path, notes: Notes) -> bool:
    """Whether the lines are of ODVG's detection form; the grounding form has phrases in place of classes."""
    with path.open("rb") as file:
        grounding = b'"grounding"' in file.readline(MAX_LINE)
    if grounding:
        notes.fault(path, "captions with phrases, no boxes with classes; passed over")
    return not grounding


def _odvg_scenes(path: Path, root: Path, finder: ImageFinder, notes: Notes) -> Iterator[Scene]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
            try:
                document = orjson.loads(line)
                name, entries = document["filename"], [_entry(e) for e in document["detection"]["instances"]]
                listed = (int(document["height"]), int(document["width"]))
            except (ValueError, KeyError, TypeError) as error:
                notes.fault(f"{path}:{number}", f"not a line of ODVG boxes ({type(error).__name__}: {error})")
                continue
            image = finder.find(str(name), path.parent)
            if image is None:
                notes.fault(f"{path}:{number}", f"image {name!r} is missing, or several have its name")
                continue
            stem = prefixed("LAE_", safe_stem(Path(name).stem))
            yield Scene(stem, image, (listed, tuple(entries)), stem, split_of(path, root))


def _entry(instance: dict[str, Any]) -> dict[str, Any]:
    left, top, right, bottom = map(float, islice(instance["bbox"], 4))
    return {
        "id": None,
        "word": str(instance["category"]),
        "segmentation": None,
        "bbox": [left, top, right - left, bottom - top],
        "crowd": False,
        "difficult": False,
    }
