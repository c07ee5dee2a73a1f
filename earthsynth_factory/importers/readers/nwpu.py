"""NWPU VHR-10 with instance polygons: ten object classes on Google Earth scenes; its infrared images are left out.

As its COCO version is published beside `positive image set/` and `negative image set/`, and as `imgs/` with
`annotations/instances_train.json`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from earthsynth_factory.domain.seeds import unit
from earthsynth_factory.domain.taxonomy import normalise
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.json_pieces import pieces, read_piece
from earthsynth_factory.importers.readers.coco import coco_labels, json_files, read_files, renamed
from earthsynth_factory.importers.readers.coco_document import Entry, looks_like_coco
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

CLASSES = frozenset(
    {"airplane", "ship", "storage tank", "baseball diamond", "tennis court", "basketball court", "ground track field"}
    | {"harbor", "bridge", "vehicle"}
)

NOMINAL_METRES_PER_PIXEL = 0.75
"""Our estimate for images without a court or track to measure by; the set says 0.5–2 m."""

INFRARED = range(369, 454)
"""Numbers of the colour-infrared images: vegetation is red there, which no other source shares."""

LENGTHS = {"tennis_court": 24.0, "basketball_court": 28.0, "ground_track_field": 177.0}
"""Real length of the longest side, metres. The other classes come in too many sizes to measure by."""

HELD_OUT = 0.15
"""Share of images held out, chosen by a hash of the number."""

VEHICLE = {"vehicle": "small vehicle"}
"""Its one vehicle class holds cars, which EarthSynth's general `vehicle` would hide."""

INFO = DatasetInfo(
    name="NWPU VHR-10",
    source="NWPU VHR-10, training part, without its infrared images",
    licence="research use",
    credit="Northwestern Polytechnical University",
    dense=False,
)


class Nwpu(Reader):
    """Sparse: background is anything else. Its own marks are the folders it is published in, or its ten classes on images
    with numbers for names.
    """

    kind = "nwpu"
    forms = ("coco",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        if folders := tree.named("positive image set"):
            return Evidence(Strength.OWN, f"a folder {folders[0].name}")
        for file in json_files(tree) if tree.named("imgs") else ():
            if looks_like_coco(file) and _names(file) == CLASSES and all(p.stem.isdecimal() for p in tree.images()):
                return Evidence(
                    Strength.OWN, f"{tree.relative(file)} has its ten classes, and images have numbers for names"
                )
        return None

    def open(self, request: ReadRequest) -> Source:
        files = [file for file in json_files(request.tree) if looks_like_coco(file)]
        if not files:
            raise SourceError(f"{request.path}: no COCO file with NWPU VHR-10's polygons; give its top folder")
        listed = read_files(files, request, INFO)
        scenes = []
        for scene in sorted(listed.scenes, key=lambda scene: scene.image.name):
            if scene.image.stem.isdecimal() and int(scene.image.stem) in INFRARED:
                request.notes.left_out["infrared image"] += 1
            else:
                scenes.append(_scene(scene, request.classes))
        words: dict[str, int | None] = {}
        for word, count in listed.words.items():
            known = request.classes.usual(word, VEHICLE.get(word, word))
            words[known] = (words.get(known) or 0) + (count or 0)
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return coco_labels(scene, context.size, context.notes)


def _names(path: Path) -> frozenset[str]:
    return frozenset(normalise(str(piece.value.get("name"))) for piece in pieces(path, "categories"))


def _scene(scene: Scene, classes: ClassMap) -> Scene:
    name = scene.image.stem
    return replace(
        renamed(scene, {word: classes.usual(word, meaning) for word, meaning in VEHICLE.items()}),
        stem=f"nwpu_{name}",
        group=name,
        split="test" if unit(0, "nwpu", name) < HELD_OUT else "train",
        metres_per_pixel=metres_per_pixel(scene.labels[0]),
    )


def metres_per_pixel(entries: tuple[Entry, ...]) -> float:
    """Estimated from courts and tracks, whose length is standard (median over them), else the nominal value."""
    found = []
    for entry in entries:
        metres = LENGTHS.get(entry.word)
        points = _points(read_piece(entry.file, entry.start, entry.length).get("segmentation")) if metres else None
        if metres and points is not None:
            _, size, _ = cv2.minAreaRect(points)
            found.append(metres / max(*size, 1.0))
    return round(float(np.median(found)), 3) if found else NOMINAL_METRES_PER_PIXEL


def _points(segmentation: Any) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    """(n, 2) corners of all rings that are such; None if there is none."""
    rings = segmentation if isinstance(segmentation, list) else []
    try:
        flat = [np.array(ring, np.float32) for ring in rings if len(ring) >= 6 and len(ring) % 2 == 0]
        return np.concatenate([ring.reshape(-1, 2) for ring in flat]) if flat else None
    except (TypeError, ValueError):
        return None
