"""STAC 1.1: a catalogue that opens in any client, from this folder alone.

    collection.json                        licence, providers, extent; a link to every item
    items/0000012/0000012.json             bounding box, footprint, system, classes, split
    items/0000012/image.png  labels.png  objects.geojson

Extensions: `proj` (system and transform), `label` (the labels), `ml-aoi` (the split). Items that lie nowhere on the ground
have no geometry. A real image's time is the one its file told `prepare`. Nobody took a generated image: its time, as that
of a real one that tells none, is the interval of `dates`, else all of time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.licences import Terms, terms_of
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, Category
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.places import GroundPlace, ground_footprint, on_map, outline, place_of
from earthsynth_factory.exports.walk import Walk, image_classes, origin_fields
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.png import encode_mask
from earthsynth_factory.io.provenance import VOCABULARY, source_type_of
from earthsynth_factory.io.stored import StoredFile

VERSION = "1.1.0"
EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/label/v1.0.1/schema.json",
    "https://stac-extensions.github.io/ml-aoi/v0.2.0/schema.json",
)
SPDX = {"cc0": "CC0-1.0", "mit": "MIT", "apache-2.0": "Apache-2.0", "cc by 3.0": "CC-BY-3.0", "cc by 4.0": "CC-BY-4.0"}
"""Licences that have an identifier; any other is `other` with its own words in the description."""

Dates = tuple[date, date]
_ALL_TIME = (date(1, 1, 1), date(9999, 12, 31))


class StacSpec(ExportSpec):
    """A static catalogue with an item an image."""

    kind: Literal["stac"] = "stac"
    dates: Dates | None = None
    """First and last day that images without a time of their own stand for, as `[2024-05-01, 2024-09-30]`; left out, all of
    time."""
    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        walk, box, times, nowhere = Walk(store, progress), _Box(), _Times(), 0
        classes = [store.taxonomy[BACKGROUND], *image_classes(store)]
        links = out / ".links.part"
        with links.open("wb") as file:
            for record in walk:
                place = place_of(record.origin)
                item = self._item(store, record, place, classes)
                nowhere += place is None
                box.add(item.get("bbox"))
                times.add(item["properties"])
                folder = out / "items" / record.stem
                self._put(store, record, place, folder)
                write_json(folder / f"{record.stem}.json", item)
                href = {
                    "rel": "item",
                    "href": f"./items/{record.stem}/{record.stem}.json",
                    "type": "application/geo+json",
                }
                file.write(b",\n" + orjson.dumps(href))
        self._collection(store, out / "collection.json", links, box, times, classes)
        links.unlink()
        note = f"{nowhere} images lie nowhere on the ground: their items have no geometry"
        return ExportSummary("stac", walk.counts, (note,) if nowhere else ())

    def _put(self, store: LabelledDataset, record: SampleRecord, place: GroundPlace | None, folder: Path) -> None:
        image = store.image_file(record)
        put_image(image, folder / f"image{image.suffix.lower()}", self.images)
        write_bytes(folder / "labels.png", encode_mask(store.mask(record), store.taxonomy), durable=False)
        if place is not None:
            write_json(folder / "objects.geojson", _objects(store, record, place))

    def _item(
        self, store: LabelledDataset, record: SampleRecord, place: GroundPlace | None, classes: list[Category]
    ) -> dict[str, Any]:
        names = [store.taxonomy[number].name for number in record.classes]
        image = store.image_file(record)
        properties: dict[str, Any] = {
            **self._time(record),
            "gsd": record.metres_per_pixel or None,
            "proj:shape": [record.height, record.width],
            "label:type": "raster",
            "label:properties": ["category"],
            "label:classes": [{"name": "category", "classes": [one.name for one in classes]}],
            "label:description": f"shows {', '.join(names) or 'none of the classes'}",
            "label:tasks": ["segmentation", "detection"],
            "ml-aoi:split": _split(record.split),
            "earthsynth_factory:split": record.split,
            "earthsynth_factory:group": record.origin.group,
        }
        if source := source_type_of(image) if image.is_file() else None:
            properties["earthsynth_factory:digital_source_type"] = VOCABULARY + source
        return {
            "type": "Feature",
            "stac_version": VERSION,
            "stac_extensions": list(EXTENSIONS),
            "id": record.stem,
            "collection": _identifier(store.name),
            **_geometry(record, place, properties),
            "properties": {key: value for key, value in properties.items() if value is not None or key == "datetime"},
            "links": [
                {"rel": name, "href": "../../collection.json", "type": "application/json"}
                for name in ("root", "parent", "collection")
            ],
            "assets": _assets(image, place, with_image=self.images != "none"),
        }

    def _time(self, record: SampleRecord) -> dict[str, str | None]:
        """The instant of a real image, or the day; else the first and the last instant that it stands for."""
        taken = origin_fields(record.origin).get("datetime")
        if taken and "T" in taken:
            return {"datetime": taken}
        first, last = (taken, taken) if taken else self.dates or _ALL_TIME
        return {"datetime": None, "start_datetime": f"{first}T00:00:00Z", "end_datetime": f"{last}T23:59:59Z"}

    def _collection(
        self, store: LabelledDataset, path: Path, links: Path, box: _Box, times: _Times, classes: list[Category]
    ) -> None:
        """Written as it comes, since it links to every item."""
        terms = terms_of(store)
        head = {
            "type": "Collection",
            "stac_version": VERSION,
            "id": _identifier(store.name),
            "title": store.name,
            "description": _description(store, terms),
            "license": SPDX.get(terms.licence.lower(), "other"),
            "providers": [
                {"name": terms.credit[:200] or "unknown", "roles": ["licensor"]},
                {"name": "earthsynth-factory", "roles": ["processor"]},
            ],
            "extent": {"spatial": {"bbox": [box.bounds]}, "temporal": {"interval": [times.interval]}},
            "summaries": {"earthsynth_factory:classes": [one.name for one in classes]},
        }
        root = {"rel": "root", "href": "./collection.json", "type": "application/json"}
        with path.open("wb") as file, links.open("rb") as part:
            file.write(orjson.dumps(head)[:-1] + b',"links":[\n' + orjson.dumps(root))
            while block := part.read(1 << 20):
                file.write(block)
            file.write(b"\n]}\n")


class _Box:
    """The bounding box of everything so far, in degrees; the whole earth while there is nothing."""

    def __init__(self) -> None:
        self._found: np.ndarray | None = None

    def add(self, bbox: list[float] | None) -> None:
        if bbox is not None:
            low, high = np.array(bbox[:2]), np.array(bbox[2:])
            if self._found is not None:
                low, high = np.minimum(low, self._found[:2]), np.maximum(high, self._found[2:])
            self._found = np.concatenate([low, high])

    @property
    def bounds(self) -> list[float]:
        return [-180.0, -90.0, 180.0, 90.0] if self._found is None else [float(value) for value in self._found]


class _Times:
    """The first and the last instant of everything so far, as ISO 8601."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, properties: Mapping[str, Any]) -> None:
        own = properties["datetime"]
        added = [own, own] if own else [properties["start_datetime"], properties["end_datetime"]]
        self._found = [min([*self._found, *added]), max([*self._found, *added])]

    @property
    def interval(self) -> list[str | None]:
        """Open on the side if nobody knows."""
        first, last = self._found or (None, None)
        begin, end = (f"{day}T{clock}Z" for day, clock in zip(_ALL_TIME, ("00:00:00", "23:59:59"), strict=True))
        return [None if first == begin else first, None if last == end else last]


def _geometry(record: SampleRecord, place: GroundPlace | None, properties: dict[str, Any]) -> dict[str, Any]:
    """Footprint and bounding box, and into the properties what the projection extension asks for."""
    if place is None:
        return {"geometry": None}
    code = place.name.startswith("EPSG:")
    properties["proj:code"] = place.name if code else None
    if not code:
        properties["proj:wkt2"] = place.name
    properties["proj:transform"] = [*place.transform[:6], 0, 0, 1]
    geometry = on_map(ground_footprint(record), place, degrees=True)
    corners = np.array(geometry["coordinates"][0])
    return {"geometry": geometry, "bbox": [float(value) for value in (*corners.min(axis=0), *corners.max(axis=0))]}


def _assets(image: StoredFile, place: GroundPlace | None, *, with_image: bool) -> dict[str, Any]:
    suffix = image.suffix.lower()
    kind = "image/png" if suffix == ".png" else "image/jpeg" if suffix in (".jpg", ".jpeg") else "image/tiff"
    shown = {"image": {"href": f"./image{suffix}", "type": kind, "roles": ["data", "visual"], "title": "image"}}
    labels = {"labels": {"href": "./labels.png", "type": "image/png", "roles": ["labels"], "title": "class ids"}}
    objects = {"href": "./objects.geojson", "type": "application/geo+json", "roles": ["labels"], "title": "objects"}
    return (shown if with_image else {}) | labels | ({"objects": objects} if place else {})


def _objects(store: LabelledDataset, record: SampleRecord, place: GroundPlace) -> dict[str, Any]:
    """A feature an object, in degrees."""
    features = [
        {
            "type": "Feature",
            "properties": {"id": instance.id, "category": store.taxonomy[instance.category].name},
            "geometry": on_map(outline(record, instance), place, degrees=True),
        }
        for instance in record.instances
    ]
    return {"type": "FeatureCollection", "features": features}


def _split(name: str) -> str:
    """The extension's word: train, validate or test."""
    return {"val": "validate", "validation": "validate", "test": "test"}.get(name, "train")


def _identifier(name: str) -> str:
    return "".join(one if one.isalnum() else "-" for one in name).strip("-") or "dataset"


def _description(store: LabelledDataset, terms: Terms) -> str:
    parts: Mapping[str, str] = {"Source": terms.source, "Licence": terms.licence, "Credit": terms.credit}
    told = [f"{title}: {text}" for title, text in parts.items() if text]
    return ". ".join([f"{store.name}, version {store.version}: labelled overhead imagery", *told])
