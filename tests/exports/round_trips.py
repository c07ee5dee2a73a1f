"""Objects of known sizes through a format and back: how much of each is left, and whether the second trip changes a byte."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import shapely

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.domain.sample import Instance
from earthsynth_factory.exports.base import ExportSpec
from earthsynth_factory.exports.shapes import drawn, polygons
from earthsynth_factory.exports.write import export
from earthsynth_factory.importers.crops import CropRules
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from tests.importers import layouts

SIZES = (3, 5, 10, 20, 50)
"""Longer side of the objects, in pixels."""

SIDE, CELL = 512, 64
"""Pixels of an image's side, and of the square that each object has to itself."""

FORMS = ("box", "corners", "polygon", "pixels")
"""What a source may draw."""


def written(root: Path, form: str, images: int = 2) -> Path:
    """A COCO (or for `corners` DOTA) folder with 64 objects an image, of all sizes, at places between the pixels."""
    random = np.random.default_rng(7)
    for number in range(images):
        layouts.put(root / "images" / f"s{number}.png", np.full((SIDE, SIDE, 3), 40 * number, np.uint8))
    rings = {number: [_ring(place, form, random) for place in range(64)] for number in range(images)}
    if form == "corners":
        for number, found in rings.items():
            lines = [f"{' '.join(f'{value:.1f}' for value in ring)} ship 0\n" for ring in found]
            layouts.text(root / "labelTxt" / f"s{number}.txt", "".join(lines))
        return root
    layouts.text(root / "annotations.json", json.dumps(_coco(rings, form)))
    return root


def read(source: Path, out: Path, kind: str = "auto") -> PreparedDataset:
    """The folder prepared whole, as `export` does it."""
    prepare(source, out, PrepareOptions(kind, CropRules(0), keep_empty=1.0, augment=False, workers=1))
    return PreparedDataset(out)


def trip(dataset: LabelledDataset, spec: ExportSpec, folder: Path, kind: str = "auto") -> PreparedDataset:
    """The dataset in a format, in `folder/<kind>`, and read again."""
    export(dataset, [spec], folder, lambda _: None)
    return read(folder / spec.kind, folder / f"{spec.kind}-read", kind)


def kept(before: LabelledDataset, after: LabelledDataset) -> Iterator[tuple[int, float]]:
    """Size and intersection over union, of the exact outlines, of every object; 0 for one that is lost."""
    found = {_core(record.stem): record for record in after.samples()}
    for record in before.samples():
        other = found[_core(record.stem)]
        shapes = [_shape(other, instance) for instance in other.instances]
        for instance in record.instances:
            shape = _shape(record, instance)
            best = max((_iou(shape, one) for one in shapes), default=0.0)
            yield _size(shape), best


def means(pairs: Iterator[tuple[int, float]]) -> Mapping[int, float]:
    """Size → mean IoU."""
    found: dict[int, list[float]] = {size: [] for size in SIZES}
    for size, iou in pairs:
        found[size].append(iou)
    return {size: float(np.mean(values)) for size, values in found.items() if values}


def labels(folder: Path) -> dict[str, bytes]:
    """Every file of an export that is no image, by its path; without the name of the folder that it was made from."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in (".png", ".jpg", ""))
    named = re.compile(rb'<database>[^<]*</database>|"info":\{[^}]*\}')
    return {str(path.relative_to(folder)): named.sub(b"", path.read_bytes()) for path in files}


def as_pixels(dataset: LabelledDataset) -> LabelledDataset:
    """The dataset as if only masks had been given."""
    return _Masks(dataset)


class _Masks:
    def __init__(self, base: LabelledDataset) -> None:
        self.base = base

    def __getattr__(self, name: str) -> object:
        return getattr(self.base, name)

    def samples(self) -> Iterator[SampleRecord]:
        for record in self.base.samples():
            yield replace(record, instances=tuple(replace(one, given=None) for one in record.instances))


def _core(stem: str) -> str:
    return stem.removeprefix("DOTA_")


def _ring(place: int, form: str, random: np.random.Generator) -> list[float]:
    """An object in its own square of the image."""
    size = SIZES[place % len(SIZES)]
    y, x = (CELL * np.array(divmod(place, SIDE // CELL)) + CELL / 2 + random.uniform(-3, 3, 2)).tolist()
    long, short = size / 2, size * random.uniform(0.35, 0.8) / 2
    if form == "polygon":
        angles = np.sort(random.uniform(0, math.tau, 9)) if size > 3 else np.array([0.3, 1.9, 3.4, 5.0])
        points = np.stack([x + long * np.cos(angles), y + long * np.sin(angles)], axis=1)
    else:
        turn = 0.0 if form == "box" else random.uniform(0, math.pi)
        corners = np.array([(-long, -short), (long, -short), (long, short), (-long, short)])
        cos, sin = math.cos(turn), math.sin(turn)
        points = corners @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    return [round(value, 2) for value in points.ravel().tolist()]


def _coco(rings: Mapping[int, list[list[float]]], form: str) -> dict[str, object]:
    images = [{"id": n + 1, "file_name": f"images/s{n}.png", "height": SIDE, "width": SIDE} for n in rings]
    annotations = []
    for number, found in rings.items():
        for ring in found:
            left, top = min(ring[0::2]), min(ring[1::2])
            box = [left, top, round(max(ring[0::2]) - left, 2), round(max(ring[1::2]) - top, 2)]
            shape: object = [] if form == "box" else [ring]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number + 1, "category_id": 1, "bbox": box, "iscrowd": 0}
                | {"segmentation": shape, "area": box[2] * box[3]}
            )
    return {"images": images, "categories": [{"id": 1, "name": "ship"}], "annotations": annotations}


def _shape(record: SampleRecord, instance: Instance) -> shapely.Geometry:
    """What was drawn, exactly; of a mask, the edges of its pixels."""
    given = drawn(instance)
    rings = given.rings() if given else polygons(record, instance)
    return shapely.union_all([shapely.make_valid(shapely.Polygon(np.reshape(ring, (-1, 2)))) for ring in rings])


def _iou(one: shapely.Geometry, other: shapely.Geometry) -> float:
    common = one.intersection(other).area
    return common / (one.area + other.area - common)


def _size(shape: shapely.Geometry) -> int:
    left, top, right, bottom = shape.minimum_rotated_rectangle.bounds
    long = max(math.dist(*pair) for pair in _sides(shape)) if shape.area else max(right - left, bottom - top)
    return min(SIZES, key=lambda size: abs(math.log(size / max(long, 0.5))))


def _sides(shape: shapely.Geometry) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    corners = list(shape.minimum_rotated_rectangle.exterior.coords)
    return list(pairwise(corners))
