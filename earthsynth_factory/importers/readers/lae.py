"""LAE-1M: boxes alone, as COCO-style JSON or ODVG lines. Boxes become rectangles, or what a segmenter made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.coco import coco_labels, read_files
from earthsynth_factory.importers.readers.coco_document import looks_like_coco
from earthsynth_factory.importers.readers.odvg import looks_like_odvg, odvg_labels, read_lines_of
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
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

INFO = DatasetInfo(
    name="LAE-1M",
    source="Pan et al., AAAI 2025; imagery of many published sets",
    licence="under the terms of each source",
    credit="LAE-DINO",
    dense=False,
)


class Lae(Reader):
    """`LAE-COD/` and `LAE-FOD/` with a JSON per set; images are found by name below the folder given."""

    kind = "lae"
    forms = ("coco", "odvg")

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        named = tree.named("LAE-COD", "LAE-FOD")
        if named:
            return Evidence(Strength.OWN, f"a folder {named[0].name}")
        files = [file for file in _files(tree) if "lae-1m" in file.name.lower()]
        return Evidence(Strength.OWN, f"{files[0].name}: annotations of LAE-1M") if files else None

    def open(self, request: ReadRequest) -> Source:
        files = _files(request.tree)
        lines = [file for file in files if looks_like_odvg(file)]
        documents = [file for file in files if file not in lines and looks_like_coco(file)]
        segments = read_segments(request.segments) if request.segments else {}
        boxes = read_files(documents, request, INFO, segments, prefix="LAE_")
        odvg = read_lines_of(lines, request, INFO, prefix="LAE_")
        if not boxes.scenes and not odvg.scenes:
            raise SourceError(
                f"{request.path}: no annotations of LAE-1M with their images; give the folder that holds both"
            )
        words = dict(boxes.words)
        for word, count in odvg.words.items():
            words[word] = (words.get(word) or 0) + (count or 0)
        return Source(INFO, words, [*boxes.scenes, *odvg.scenes])

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        form = odvg_labels if scene.labels[0] == "odvg" else coco_labels
        return form(scene, context.size, context.notes)


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


def _files(tree: Tree) -> list[Path]:
    found = [tree.file] if tree.file else list(tree.files(".json", ".jsonl"))
    return [file for file in found if not file.name.endswith("_categories.json")]
