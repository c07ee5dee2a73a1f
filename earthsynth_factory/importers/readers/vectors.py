"""Outlines on the ground over georeferenced images: SpaceNet's folders, footprints in any of `vector_layers`' formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rasterio.crs import CRS
from rasterio.transform import Affine, array_bounds
from rasterio.warp import transform, transform_bounds

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.vector_layers import SUFFIXES, FileLayer, is_vector_file, read_layer
from earthsynth_factory.importers.readers.vector_shapes import shape_polygons
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
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import group_of, safe_stem, split_of
from earthsynth_factory.io.georeference import on_ground
from earthsynth_factory.io.pictures import Picture

if TYPE_CHECKING:
    from shapely import Geometry

MANY = 2000
"""Vector files of one folder that are looked at."""


@dataclass(frozen=True, slots=True)
class GroundFrame:
    """Where an image lies. size: (H, W) pixels."""

    crs: CRS
    transform: Affine
    size: tuple[int, int]

    def bounds(self, crs: CRS) -> tuple[float, float, float, float]:
        """left, bottom, right, top in another CRS."""
        return tuple(transform_bounds(self.crs, crs, *array_bounds(*self.size, self.transform)))


class Vectors(Reader):
    """An image has the file that is called after it, else every file whose outlines reach into it; one that none reaches is
    left out, since nobody looked there.
    """

    kind = "vectors"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        files = _files(tree)
        image = next((path for path in _images(tree) if _ground(path) is not None), None) if files else None
        if image is None and files and next(tree.images(), None) is not None:
            return Evidence(
                Strength.SHAPE, f"{tree.relative(files[0])}: outlines on the ground, and no image lies there"
            )
        if image is None:
            return None
        return Evidence(
            Strength.FORMAT, f"{tree.relative(files[0])}: outlines on the ground, and images that lie there"
        )

    def open(self, request: ReadRequest) -> Source:
        tree, files = request.tree, _files(request.tree)
        grounds = {path: ground for path in _images(tree) if (ground := _ground(path)) is not None}
        named = _by_name(list(grounds), files)
        words, scenes = Counter[str](), []
        for image, ground in grounds.items():
            chosen = named.get(image) or [file for file in files if _reaches(file, ground, request)]
            if not chosen:
                request.notes.left_out["image that no outline reaches"] += 1
                continue
            split, shared = split_of(image, tree.root), () if image in named else tuple(chosen)
            group = group_of(image, tree.root)
            scenes.append(Scene(safe_stem(image.stem), image, tuple(chosen), group, split, shared=shared))
        for file in sorted({file for scene in scenes for file in scene.labels} or files):
            layer = read_layer(file, request.classes.taxonomy)
            words.update(layer.words)
            _say(layer, next(iter(grounds.values()), None), request.notes)
        if not grounds:
            raise SourceError(f"{request.path}: no image says where it lies (a transform and its coordinate system)")
        if not scenes:
            left = "; ".join(f"{count}× {what}" for what, count in request.notes.left_out.items())
            raise SourceError(f"{request.path}: no image that the outlines lie over{': ' if left else ''}{left}")
        return Source(DatasetInfo(request.name, "outlines on the ground", "unknown", "", dense=False), words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        ground = _ground(scene.image)
        if ground is None:
            raise SourceError(f"{scene.image}: lies nowhere; it lost its georeference")
        drawn = (one for file in scene.labels for one in _drawn(file, ground, context))
        return SceneLabels(objects=filled(drawn, context.size, context.notes))


def _say(layer: FileLayer, ground: GroundFrame | None, notes: Notes) -> None:
    if layer.flat:
        notes.left_out["features without an area (points, lines, none)"] += layer.flat
    if ground is not None and layer.crs != _crs(layer, ground):
        notes.remarks["outlines without a coordinate system that fits, taken for their images'"] += len(layer.words)


def _files(tree: Tree) -> list[Path]:
    found = (
        [tree.file]
        if tree.file
        else [path for folder in tree.folders for path in tree.listing(folder, *SUFFIXES)[:MANY]]
    )
    return [path for path in found if path.suffix.lower() in SUFFIXES and is_vector_file(path)]


def _images(tree: Tree) -> list[Path]:
    return list(tree.images())


def _ground(path: Path) -> GroundFrame | None:
    """None if it is not georeferenced."""
    try:
        with Picture(
            path
        ) as picture:  # one known decoder: by itself GDAL would follow what a file says of other places
            found = picture.georeference()
            return GroundFrame(found.crs, found.transform, picture.stored_shape) if found and found.crs else None
    except SourceError:
        return None


def _by_name(images: list[Path], files: list[Path]) -> dict[Path, list[Path]]:
    """Files called after one image alone: `RGB_img1.tif`, `buildings_img1.geojson`."""
    found: dict[Path, list[Path]] = {}
    keys = Counter(_name_key(image) for image in images)
    by_key = {_name_key(image): image for image in images if keys[_name_key(image)] == 1}
    for file in files:
        image = by_key.get(_name_key(file))
        if image is not None and _name_key(file):
            found.setdefault(image, []).append(file)
    return found


def _name_key(path: Path) -> str:
    """From the first token with a digit on: what stands before it says which product or layer it is."""
    tokens = [token for token in re.split(r"[^0-9a-z]+", path.stem.lower()) if token]
    first = next((n for n, token in enumerate(tokens) if any(c.isdigit() for c in token)), len(tokens))
    return "_".join(tokens[first:])


def _reaches(file: Path, ground: GroundFrame, request: ReadRequest) -> bool:
    layer = read_layer(file, request.classes.taxonomy)
    crs, bounds = _crs(layer, ground), layer.bounds()
    if bounds is None:
        return False
    left, bottom, right, top = ground.bounds(crs)
    return bounds[0] < right and bounds[2] > left and bounds[1] < top and bounds[3] > bottom


def _crs(layer: FileLayer, ground: GroundFrame) -> CRS:
    """The layer's CRS; the image's if the layer says none, or longitudes that cannot be such."""
    bounds = layer.bounds()
    if layer.crs is None:
        return ground.crs
    degrees = layer.crs.is_geographic and bounds is not None and max(map(abs, bounds)) > 360
    return ground.crs if degrees else layer.crs


def _drawn(file: Path, ground: GroundFrame, context: ReadContext) -> Iterator[Drawn]:
    import shapely  # takes a tenth of a second to import

    layer = read_layer(file, context.classes.taxonomy)
    crs = _crs(layer, ground)
    for number in sorted(layer.tree.query(shapely.box(*ground.bounds(crs))).tolist()):
        shape = _in_pixels(layer.tree.geometries[number], crs, ground)
        try:
            yield Drawn(layer.words[number], Given.of_polygons(shape_polygons(shape)), f"{file}, feature {number + 1}")
        except ValueError as error:
            context.notes.fault(f"{file}, feature {number + 1}", str(error))


def _in_pixels(shape: Geometry, crs: CRS, ground: GroundFrame) -> Geometry:
    import numpy as np
    import shapely

    back = ~ground.transform

    def moved(points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0], points[:, 1]
        if crs != ground.crs:
            x, y = map(np.asarray, transform(crs, ground.crs, x.tolist(), y.tolist()))
        return on_ground(back, np.column_stack([x, y]))

    return shapely.transform(shape, moved)
