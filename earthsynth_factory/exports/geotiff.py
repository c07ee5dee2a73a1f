"""GeoTIFF: cloud-optimised images and labels, and what is in them as vectors.

    <split>/images/0000012.tif     RGB, 8 bit
    <split>/labels/0000012.tif     class ids, 8 bit, with a palette; 255 is what nobody knows
    footprints.geojson             an outline an image; objects.geojson: one an object; longitude and latitude (RFC 7946)
    objects_EPSG_32640.geojson     the objects in the images' own system, a file for each system
    classes.json                   id → name and colour

Images lie where `prepare` or a vector map says; those that lie nowhere are written without a place.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, Category, Taxonomy
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.places import GroundPlace, ground_footprint, on_map, outline, place_of
from earthsynth_factory.exports.walk import Walk, image_classes
from earthsynth_factory.io.atomic import disk_error, write_json
from earthsynth_factory.io.provenance import VOCABULARY, source_type_of

Palette = Mapping[int, tuple[int, int, int, int]]


class GeotiffSpec(ExportSpec):
    """Images and labels for GIS and for geospatial loaders."""

    kind: Literal["geotiff"] = "geotiff"
    compress: Literal["deflate", "zstd", "lzw", "none"] = "deflate"
    """How the files are packed; all without loss."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        walk, nowhere = Walk(store, progress), 0
        classes = [store.taxonomy[BACKGROUND], *image_classes(store)]
        palette = palette_of(classes)
        with _Vectors(out) as vectors:
            for record in walk:
                place = place_of(record.origin)
                nowhere += place is None
                source = _source(store, record)
                folder = out / record.split
                image = np.moveaxis(store.image(record), 2, 0)
                write_cog(folder / "images" / f"{record.stem}.tif", image, place, source, None, self.compress)
                labels = store.mask(record)[None]
                write_cog(folder / "labels" / f"{record.stem}.tif", labels, place, source, palette, self.compress)
                if place is not None:
                    vectors.add(record, place, store.taxonomy)
        write_json(out / "classes.json", {str(one.id): {"name": one.name, "color": one.color} for one in classes})
        note = (
            f"{nowhere} images lie nowhere on the ground: they are written without a system, and are in no vector file"
        )
        return ExportSummary("geotiff", walk.counts, (note,) if nowhere else ())


def write_cog(
    path: Path,
    bands: npt.NDArray[np.uint8],
    place: GroundPlace | None,
    tags: Mapping[str, str],
    palette: Palette | None = None,
    compress: str = "deflate",
) -> None:
    """A cloud-optimised GeoTIFF of (B, H, W) bands. palette: colours of class ids; 255 is no data. Raises DiskError."""
    count, height, width = bands.shape
    about: dict[str, Any] = {"crs": place.crs, "transform": place.transform} if place else {}
    if palette:
        about["nodata"] = IGNORE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            _quiet(),
            rasterio.open(
                path,
                "w",
                driver="COG",
                count=count,
                height=height,
                width=width,
                dtype="uint8",
                compress=compress,
                overview_resampling="nearest" if palette else "average",
                **about,
            ) as file,
        ):
            file.write(bands)
            file.update_tags(**tags)
            if palette:
                file.write_colormap(1, dict(palette))
    except OSError as error:
        raise disk_error(path, error) from error


def palette_of(classes: Iterable[Category]) -> Palette:
    """Class id → colour (R, G, B, A); what nobody knows is clear."""
    return {one.id: (*one.color, 255) for one in classes} | {IGNORE: (0, 0, 0, 0)}


@contextmanager
def _quiet() -> Iterator[None]:
    """That an image has no place is said once for all of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _source(store: LabelledDataset, record: SampleRecord) -> dict[str, str]:
    """As tags: how the image came to be, and what it was cut from. Its own pixels have 8 bits and no value for no data."""
    found = source_type_of(store.image_file(record))
    tags = {"DIGITAL_SOURCE_TYPE": VOCABULARY + found} if found else {}
    detail = record.origin.detail
    return tags | {tag: str(detail[name]) for name, tag in _TAGS.items() if name in detail}


_TAGS = {
    "source_file": "SOURCE_FILE",
    "nodata": "SOURCE_NODATA",
    "bands": "SOURCE_BANDS",
    "datetime": "ACQUISITIONDATETIME",  # as GDAL calls it
}


class _Vectors:
    """The GeoJSON files of an export, written as it comes."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._files: dict[str, IO[bytes]] = {}
        self._open = ExitStack()

    def __enter__(self) -> _Vectors:
        return self

    def add(self, record: SampleRecord, place: GroundPlace, taxonomy: Taxonomy) -> None:
        """Its footprint and its objects."""
        about = {"image": record.stem, "split": record.split}
        print_of = on_map(ground_footprint(record), place, degrees=True)
        self._put("footprints", None, {**about, "metres_per_pixel": record.metres_per_pixel or None}, print_of)
        own = f"objects_{re.sub(r'[^A-Za-z0-9]+', '_', place.name)[:40]}"
        for instance in record.instances:
            shape = outline(record, instance)
            fields = {**about, "id": instance.id, "category": taxonomy[instance.category].name, "area": instance.area}
            self._put("objects", None, fields, on_map(shape, place, degrees=True))
            self._put(own, place.name, fields, on_map(shape, place, degrees=False))

    def _put(self, name: str, system: str | None, fields: Mapping[str, Any], geometry: Mapping[str, Any]) -> None:
        feature = orjson.dumps({"type": "Feature", "properties": fields, "geometry": geometry})
        if name in self._files:
            self._files[name].write(b",\n" + feature)
            return
        file = self._open.enter_context((self._out / f"{name}.geojson").open("wb"))
        # The standard knows longitude and latitude alone; GIS read the older member for any other system.
        crs = {"crs": {"type": "name", "properties": {"name": system}}} if system else {}
        file.write(orjson.dumps({"type": "FeatureCollection", **crs})[:-1] + b',"features":[\n' + feature)
        self._files[name] = file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            for file in self._files.values():
                file.write(b"\n]}\n")
        self._open.close()
