"""NWPU VHR-10 with instance polygons: ten object classes on Google Earth scenes; its infrared images are left out."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.seeds import unit
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.base import DatasetInfo, DatasetWriter, ImportSummary, Item, Split

NOMINAL_METRES_PER_PIXEL = 0.75
"""Our estimate for images without a court or track to measure by; the set says 0.5–2 m."""

INFRARED = range(369, 454)
"""Numbers of the colour-infrared images: vegetation is red there, which no other source shares."""

# Real length of the longest side, metres. The other classes come in too many sizes to measure by.
_LENGTHS = {"tennis_court": 24.0, "basketball_court": 28.0, "ground_track_field": 177.0}
HELD_OUT = 0.15
"""Share of images held out, chosen by a hash of the number."""

_MAX_JSON_BYTES = 64_000_000


class Nwpu:
    """Reads `imgs/*.jpg` and `annotations/instances_train.json`. Sparse: background is anything else."""

    name = "nwpu"
    info = DatasetInfo(
        name="NWPU VHR-10",
        source="NWPU VHR-10, training part, without its infrared images",
        licence="research use",
        credit="Northwestern Polytechnical University",
        dense=False,
    )

    def run(self, source: Path, target: Path) -> ImportSummary:
        """Raises `SourceError` on an annotation file that is not COCO, or on an unknown class."""
        document = _read_coco(source / "annotations" / "instances_train.json")
        names = {entry["id"]: str(entry["name"]) for entry in document["categories"]}
        objects: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for annotation in document["annotations"]:
            objects[annotation["image_id"]].append(annotation)
        writer = DatasetWriter(target, self.info)
        for image in sorted(document["images"], key=lambda entry: str(entry["file_name"])):
            path = source / "imgs" / Path(str(image["file_name"])).name
            if int(path.stem) in INFRARED:
                writer.summary.left_out["infrared image"] += 1
            else:
                writer.add(_item(path, image, objects[image["id"]], names))
        return writer.finish()


def _read_coco(path: Path) -> dict[str, Any]:
    if not path.is_file() or path.stat().st_size > _MAX_JSON_BYTES:
        raise SourceError(f"{path}: missing, or larger than {_MAX_JSON_BYTES} bytes; give NWPU VHR-10's top folder")
    document = json.loads(path.read_text())
    if not isinstance(document, dict) or not {"images", "annotations", "categories"} <= document.keys():
        raise SourceError(f"{path}: not a COCO file (images, annotations, categories)")
    return document


def _item(path: Path, image: dict[str, Any], objects: list[dict[str, Any]], names: dict[int, str]) -> Item:
    height, width = int(image["height"]), int(image["width"])
    mask, instances = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint16)
    for number, entry in enumerate(sorted(objects, key=lambda e: -float(e["area"])), start=1):
        inside = fill_polygons(entry["segmentation"], height, width)
        mask[inside] = earthsynth().named(_category(names, entry["category_id"], path)).id
        instances[inside] = number
    split: Split = "test" if unit(0, "nwpu", path.stem) < HELD_OUT else "train"
    return Item(f"nwpu_{path.stem}", path, mask, instances, path.stem, split, metres_per_pixel(objects, names))


def _category(names: dict[int, str], index: int, place: Path) -> str:
    if index not in names:
        raise SourceError(f"{place}: category id {index} is not in the file's own list")
    return "small vehicle" if names[index] == "vehicle" else names[index]


def fill_polygons(polygons: list[list[float]], height: int, width: int) -> npt.NDArray[np.bool_]:
    """True inside any of the polygons (flat x, y lists, pixels); corners may lie outside the image."""
    canvas = np.zeros((height, width), np.uint8)
    corners = [np.rint(np.reshape(flat, (-1, 2))).astype(np.int32) for flat in polygons if len(flat) >= 6]
    for points in corners:
        cv2.fillPoly(canvas, [points], 1)
    return canvas.astype(bool)


def metres_per_pixel(objects: list[dict[str, Any]], names: dict[int, str]) -> float:
    """Estimated from courts and tracks, whose length is standard (median over them), else the nominal value."""
    found = []
    for entry in objects:
        metres = _LENGTHS.get(names.get(entry["category_id"], ""))
        points = [np.reshape(flat, (-1, 2)) for flat in entry["segmentation"] if len(flat) >= 6]
        if metres and points:
            _, size, _ = cv2.minAreaRect(np.concatenate(points).astype(np.float32))
            found.append(metres / max(*size, 1.0))
    return round(float(np.median(found)), 3) if found else NOMINAL_METRES_PER_PIXEL
