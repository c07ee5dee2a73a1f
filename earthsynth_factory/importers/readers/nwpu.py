"""NWPU VHR-10 with instance polygons: ten object classes on Google Earth scenes; its infrared images are left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from earthsynth_factory.domain.seeds import unit
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.readers.coco import coco_labels, read_files
from earthsynth_factory.importers.readers.files import prefixed
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Reader, Request, Scene, Source

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
    """Reads `imgs/*.jpg` and `annotations/instances_train.json`. Sparse: background is anything else."""

    kind = "nwpu"

    def recognise(self, path: Path) -> str | None:
        if (path / "imgs").is_dir() and (path / "annotations" / "instances_train.json").is_file():
            return "imgs/ and annotations/instances_train.json"
        return None

    def open(self, request: Request) -> Source:
        file = request.path / "annotations" / "instances_train.json"
        if not file.is_file():
            raise SourceError(f"{file}: missing; give NWPU VHR-10's top folder")
        listed = read_files([file], request.path, INFO, request.notes)
        scenes = []
        for scene in sorted(listed.scenes, key=lambda scene: scene.image.name):
            if scene.image.stem.isdigit() and int(scene.image.stem) in INFRARED:
                request.notes.left_out["infrared image"] += 1
            else:
                scenes.append(_scene(scene, request.classes))
        words = Counter({_word(word, request.classes): count for word, count in listed.words.items()})
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return coco_labels(scene, aid.size, aid.notes)


def _word(word: str, classes: ClassMap) -> str:
    return classes.usual(word, VEHICLE.get(word, word))


def _scene(scene: Scene, classes: ClassMap) -> Scene:
    size, entries = scene.labels
    renamed = tuple({**entry, "word": _word(entry["word"], classes)} for entry in entries)
    name = scene.image.stem
    return replace(
        scene,
        stem=prefixed("nwpu_", name),
        group=name,
        labels=(size, renamed),
        split="test" if unit(0, "nwpu", name) < HELD_OUT else "train",
        metres_per_pixel=metres_per_pixel(renamed),
    )


def metres_per_pixel(entries: tuple[dict[str, Any], ...]) -> float:
    """Estimated from courts and tracks, whose length is standard (median over them), else the nominal value."""
    found = []
    for entry in entries:
        metres = LENGTHS.get(entry["word"])
        polygons = entry["segmentation"] if isinstance(entry["segmentation"], list) else []
        points = [np.reshape(flat, (-1, 2)) for flat in polygons if len(flat) >= 6]
        if metres and points:
            _, size, _ = cv2.minAreaRect(np.concatenate(points).astype(np.float32))
            found.append(metres / max(*size, 1.0))
    return round(float(np.median(found)), 3) if found else NOMINAL_METRES_PER_PIXEL
