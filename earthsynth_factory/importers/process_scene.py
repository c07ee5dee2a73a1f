"""One scene's whole way, in a worker process: labels read, crops cut, files written, and the record of it made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from earthsynth_factory.datasets.build.records import instance_fields
from earthsynth_factory.datasets.prepared.train_list import training_lines
from earthsynth_factory.datasets.prepared.writer import put_categories, put_item, remove_item
from earthsynth_factory.domain.masks import classes_of, pixel_counts
from earthsynth_factory.domain.seeds import unit
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.crops import Crop, CropRules, cut_crops
from earthsynth_factory.importers.prepare_journal import Journal
from earthsynth_factory.importers.scene import (
    NO_AREA,
    OUTSIDE,
    Notes,
    Raster,
    ReadContext,
    Reader,
    Scene,
    SceneLabels,
    SceneObject,
)
from earthsynth_factory.io.atomic import put_file, write_bytes
from earthsynth_factory.io.georeference import on_ground
from earthsynth_factory.io.label_rasters import LabelRaster
from earthsynth_factory.io.pictures import Picture, Rendering
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.io.raster_files import GdalFile

MAX_WHOLE = 1 << 26
"""Largest image that is taken whole, in pixels: 8192 × 8192; crops are cut from images of any size."""

LEAST_PICTURE = 0.1
"""A crop of which less is picture is left out: the rest is no-data or transparent."""

NO_NEGATIVE = {
    NO_AREA: "image with nothing but points or lines",
    OUTSIDE: "image with all its objects outside: perhaps they are another's",
}
"""What an image's only labels may be that leave it without an object, and what is said of it: nobody calls it empty."""


@dataclass(frozen=True)
class SceneTask:
    """What every scene of a run is worked with. keep_empty: share of crops without any class that are kept; rendering: how
    images become pictures.
    """

    reader: Reader
    classes: ClassMap
    out: Path
    rules: CropRules
    keep_empty: float
    augment: bool
    strict: bool
    rendering: Rendering = field(default_factory=Rendering)


def work(task: SceneTask, scene: Scene) -> dict[str, Any]:
    """Write the crops of a scene; gives its journal record. An unusable scene is a fault in the record, not an error.

    Raises `SourceError` if `strict`, `DiskError` if writing fails.
    """
    notes = Notes(task.strict)
    items: list[dict[str, Any]] = []
    try:
        with Picture(scene.image, task.rendering) as picture:
            _check_size(scene, picture)
            notes.remarks.update(_remarks(picture))
            labels = task.reader.labels(scene, ReadContext(picture.shape, task.classes, notes))
            if notes.faults and labels.raster is None and not labels.objects:
                raise SourceError(f"{scene.image}: left out, since none of its labels could be read")
            for reason, said in NO_NEGATIVE.items():
                if notes.left_out[reason] and labels.raster is None and not labels.objects:
                    notes.left_out[said] += 1
                    return _journalled(scene, [], notes)
            _check_ground(scene, picture, labels.raster)
            labels = replace(labels, objects=_distinct(labels.objects, notes))
            try:
                items.extend(_crops(task, scene, picture, labels, notes.left_out))
            finally:
                if labels.raster is not None:
                    labels.raster.close()
    except SourceError as error:
        notes.error(error)
        _remove(task.out, items)
        items = []
    return _journalled(scene, items, notes)


def _journalled(scene: Scene, items: list[dict[str, Any]], notes: Notes) -> dict[str, Any]:
    return {
        "scene": scene.stem,
        "items": items,
        "faults": notes.faults,
        "left_out": dict(+notes.left_out),
        "remarks": dict(+notes.remarks),
    }


def _distinct(objects: tuple[SceneObject, ...], notes: Notes) -> tuple[SceneObject, ...]:
    """What is drawn twice to the last digit, as merged files have it, is one object."""
    found: dict[tuple[object, ...], SceneObject] = {}
    for one in objects:
        pixels = b"" if one.given and not one.given.masked else one.pixels.tobytes()
        key = (one.word, one.top, one.left, one.pixels.shape, pixels, one.crowd, one.difficult, one.given)
        notes.remarks["objects drawn twice alike, taken once"] += key in found
        found.setdefault(key, one)
    return tuple(found.values())


def check_area(picture: Picture) -> None:
    """Raises `SourceError` if an image is too large to be worked on in one piece."""
    height, width = picture.shape
    if height * width > MAX_WHOLE:
        raise SourceError(
            f"{picture.path}: {width}×{height} pixels are more than {MAX_WHOLE} to be taken whole; prepare it with --crop"
        )


def _check_size(scene: Scene, picture: Picture) -> None:
    """Raises `SourceError` if the image has another size than its source says. One whose labels were drawn on it as
    stored, whatever its EXIF says, is not turned.
    """
    if scene.size is None or scene.size == picture.shape:
        return
    if scene.size == picture.stored_shape:
        picture.leave_as_stored()
        return
    (height, width), (rows, columns) = picture.shape, scene.size
    raise SourceError(
        f"{scene.image}: has {width}×{height} pixels, its annotations say {columns}×{rows}; "
        "they were drawn on the image in another size, fetch that one"
    )


def _check_ground(scene: Scene, picture: Picture, raster: Raster | None) -> None:
    """Raises `SourceError` if image and label image say themselves that they lie on other ground, or upside down."""
    if not isinstance(raster, LabelRaster) or not (
        isinstance(picture.file, GdalFile) and isinstance(raster.picture.file, GdalFile)
    ):
        return
    ground, labelled = picture.georeference(), raster.picture.georeference()
    if ground is None or labelled is None or ground.crs is None or ground.crs != labelled.crs:
        return
    corners = np.array([(0.0, 0.0), (picture.shape[1], picture.shape[0])])
    away = float(np.abs(on_ground(~ground.transform, on_ground(labelled.transform, corners)) - corners).max())
    if away > 1:
        raster.close()
        raise SourceError(
            f"{scene.image}: its label image {raster.path} lies up to {away:.0f} pixels from it on the ground; "
            "warp one to the other"
        )


def _remarks(picture: Picture) -> list[str]:
    """What is done with an image otherwise than it is stored."""
    found = []
    if picture.file.orientation != 1:
        turned = (
            "turned upright, as their EXIF says" if picture.turn != 1 else "left as stored, as their labels were drawn"
        )
        found.append(f"images {turned}")
    if not picture.named_bands:
        found.append(
            "images of four bands and more that do not say which are red, green, blue: the first three (--bands)"
        )
    return found


def _crops(
    task: SceneTask, scene: Scene, picture: Picture, labels: SceneLabels, left_out: Counter[str]
) -> list[dict[str, Any]]:
    whole = task.rules.side == 0
    if whole:
        check_area(picture)
    ground = picture.georeference()
    scale = scene.metres_per_pixel or (ground.metres_per_pixel(picture.shape[1], picture.shape[0]) if ground else None)
    source = {"source_file": scene.image.name, **picture.about_source()}
    items = []
    for number, crop in enumerate(
        cut_crops(picture, labels, task.classes, task.rules, left_out, pixels=not _as_is(task, scene, picture))
    ):
        stem = scene.stem if whole else f"{scene.stem}_{number}"
        counts = pixel_counts(crop.mask)
        categories = classes_of(counts)
        if crop.picture < LEAST_PICTURE:
            left_out["crop of next to no picture (no-data or transparent)"] += 1
            continue
        if not categories and unit(0, "empty crop", stem) >= task.keep_empty:
            left_out["empty crop"] += 1
            continue
        name = _write(task, scene, crop, stem, categories)
        place = ground.at(crop.left, crop.top).fields() if ground else {}
        items.append(_record(task, scene, crop, stem, name, scale, counts, place | source))
    return items


def _write(task: SceneTask, scene: Scene, crop: Crop, stem: str, categories: list[int]) -> str:
    """Every file of one crop; gives the image's file name. Flushed to disk by whoever writes the journal."""
    name = stem + (scene.image.suffix.lower() if crop.image is None else ".png")

    def put(target: Path) -> None:
        if crop.image is not None:
            write_bytes(target, encode_png(crop.image), durable=False)
        elif scene.image.is_relative_to(task.out):
            put_file(scene.image, target, link=True)  # what was unpacked here is ours: no second copy
        else:
            put_file(scene.image, target, link=False)

    image = put_item(task.out, stem, name, put, crop.mask, crop.numbers)
    if task.augment:
        names = {category: task.classes.taxonomy[category].name for category in categories}
        put_categories(
            task.out, stem, image.suffix, lambda target: put_file(image, target, link=True), crop.mask, names
        )
    return name


def _as_is(task: SceneTask, scene: Scene, picture: Picture) -> bool:
    """Whether the image's own bytes are taken over: whole images in a format that every reader knows and sees alike."""
    suffixes = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg")}.get(picture.file.driver, ())
    return task.rules.side == 0 and picture.plain and scene.image.suffix.lower() in suffixes


def _record(
    task: SceneTask,
    scene: Scene,
    crop: Crop,
    stem: str,
    name: str,
    scale: float | None,
    counts: dict[int, int],
    origin: dict[str, object],
) -> dict[str, Any]:
    categories = classes_of(counts)
    return {
        "stem": stem,
        "about": {
            "group": scene.group,
            "split": scene.split,
            "metres_per_pixel": scale,
            "image": name,
            "size": list(crop.mask.shape),
            "corner": [crop.top, crop.left],
            "categories": categories,
            **origin,
        },
        "pixels": {str(category): count for category, count in counts.items()},
        "instances": None if crop.numbers is None else [instance_fields(one) for one in crop.instances],
        "lines": training_lines(stem, name, categories, task.classes.taxonomy, task.augment),
    }


def drop_old_files(out: Path, journal: Journal, stem: str, record: dict[str, Any]) -> None:
    """Take back the files of a scene's earlier record that its new one does not have."""
    new = {item["stem"] for item in record["items"]}
    for old in journal.records(iter([stem])) if journal.knows(stem) else ():
        _remove(out, [item for item in old["items"] if item["stem"] not in new])


def forget_gone(out: Path, journal: Journal, scenes: list[Scene]) -> None:
    """Take back the files of scenes that the source has no more, and what the journal says of them."""
    for stem in journal.stems() - {scene.stem for scene in scenes}:
        for old in journal.records(iter([stem])):
            _remove(out, old["items"])
        journal.forget(stem)


def _remove(out: Path, items: list[dict[str, Any]]) -> None:
    """Take back the files of items that do not stand."""
    for item in items:
        remove_item(out, item["stem"], item["about"]["image"], item["lines"])
