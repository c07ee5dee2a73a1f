"""Label images beside images, by one rule for all layouts (`mask_pairs`) and one class table (`class_tables`, or `--map`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.readers.class_tables import ClassTable, find_tables
from earthsynth_factory.importers.readers.colour_instances import classed, colour_regions
from earthsynth_factory.importers.readers.dense import colours_table, ids_table
from earthsynth_factory.importers.readers.mask_pairs import Pairing, pair_masks
from earthsynth_factory.importers.readers.xml_pairs import image_sets
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    Raster,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    SceneObject,
    Source,
    Strength,
)
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import group_of, safe_stem, split_of
from earthsynth_factory.io.label_rasters import colour_raster, id_raster
from earthsynth_factory.io.pictures import Picture

UNLABELLED = 255
LOOKED_AT, MANY_LOOKED_AT = 16, 64
"""Masks that are looked at before any is read, the first and such as lie between."""


class Masks(Reader):
    """Id 255 is ignored, unless the table names it, or the masks hold 0 and 255 alone and there are two classes."""

    kind = "masks"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        table, paired = _table(tree, request.classes), pair_masks(tree)
        if not paired.pairs:
            return None
        image, mask = next(iter(paired.pairs.items()))
        example = f"label images such as {tree.relative(mask)} for {tree.relative(image)}"
        if table is None:
            return Evidence(Strength.SHAPE, f"{example}; no class table says what their values mean")
        named = table.file.name if table.file.name else "ids or colours in the map file"
        return Evidence(Strength.FORMAT, f"{named}, and {example}")

    def open(self, request: ReadRequest) -> Source:
        tree, table = request.tree, _table(request.tree, request.classes)
        if table is None:
            raise SourceError(
                f"{request.path}: label images need a class table: classes.json, classes.txt, class_names.txt, labelmap.txt, "
                "_classes.csv or class_dict.csv there, or ids or colours in --map"
            )
        paired = pair_masks(tree)
        _say_left(paired, request)
        binary = _is_binary(table, paired, request)
        _check_zero(table, paired, request)
        sets, objects = image_sets(tree), _object_images(tree)
        scenes = []
        for image, mask in paired.pairs.items():
            labels = (mask, tuple(table.ids.items()), tuple(table.colours.items()), binary, objects.get(image.stem))
            split = sets.get(image.stem) or split_of(image, tree.root) or split_of(mask, tree.root)
            scenes.append(Scene(safe_stem(image.stem), image, labels, group_of(image, tree.root), split))
        if not scenes:
            raise SourceError(
                f"{request.path}: no image has a label image of its name, in folders such as images/ and masks/"
            )
        words: dict[str, int | None] = dict.fromkeys([*table.ids.values(), *table.colours.values()])
        return Source(DatasetInfo(request.name, "label images", "unknown", "", dense=False), words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        mask, ids, colours, binary, objects = scene.labels
        remarks = context.notes.remarks
        if colours or context.classes.colours:
            table = {0: BACKGROUND} | colours_table(dict(colours), context.classes)
            raster: Raster = colour_raster(mask, table, remarks)
        else:
            table = {0: BACKGROUND, UNLABELLED: IGNORE} | ids_table(dict(ids), context.classes)
            table |= {UNLABELLED: table[1]} if binary else {}
            raster = id_raster(mask, table, remarks)
        return SceneLabels(raster, () if objects is None else _objects(raster, objects, context))


def _table(tree: Tree, classes: ClassMap) -> ClassTable | None:
    """The highest table; the map file's own ids and colours come on top of it in `labels`, and are enough alone."""
    found = find_tables(tree)
    if found:
        return found[0]
    return ClassTable(Path()) if classes.ids or classes.colours else None


def _say_left(paired: Pairing, request: ReadRequest) -> None:
    for image in paired.alone:
        request.notes.fault(image, "its label image is missing, or several have its name")
    if paired.before:
        request.notes.left_out["image before a change, of which the label image says nothing"] += len(paired.before)
    if paired.orphans:
        request.notes.left_out["label image without an image"] += len(paired.orphans)


def _is_binary(table: ClassTable, paired: Pairing, request: ReadRequest) -> bool:
    """Whether 255 stands for class 1: there is no other class, and the masks hold 0 and 255 alone."""
    known = set(table.ids) | set(request.classes.ids)
    if known - {0} != {1} or not _black_and_white(paired):
        return False
    request.notes.remarks["masks of 0 and 255: 255 is taken for class 1"] += 1
    return True


def _black_and_white(paired: Pairing) -> bool:
    """Whether the first masks hold 0 and 255 alone, and 255 at least once."""
    seen: set[int] = set()
    for mask in list(paired.pairs.values())[:LOOKED_AT]:
        try:
            with Picture(mask) as picture:
                seen |= set(np.unique(picture.ids(0, min(picture.shape[0], 4096))).tolist())
        except SourceError:
            return False
        if not seen <= {0, UNLABELLED}:
            return False
    return UNLABELLED in seen


def _check_zero(table: ClassTable, paired: Pairing, request: ReadRequest) -> None:
    """Whether a list of names leaves out what 0 is, so that all of them would be one off.

    Raises `InputError` if masks hold an id more than it has names.
    """
    first = table.ids.get(0)
    if not table.counted or first is None or 0 in request.classes.ids:
        return
    if request.classes.find(first) in (BACKGROUND, IGNORE) or "background" in first.lower():
        return
    place, count = request.tree.relative(table.file), len(table.ids)
    masks = list(paired.pairs.values())
    if any(_holds(mask, count) for mask in masks[:: max(1, len(masks) // MANY_LOOKED_AT)]):
        raise InputError(
            f"{table.file}: {count} classes, and masks hold {count} beside 0; if 0 is background, write `background` as the "
            "first of them, else give every id in --map (`1: name`)"
        )
    request.notes.remarks[f"{place} names no background: 0 is taken for {first}, its first"] += 1


def _holds(mask: Path, value: int) -> bool:
    try:
        with Picture(mask) as picture:
            return bool((picture.ids(0, min(picture.shape[0], 4096)) == value).any())
    except SourceError:
        return False  # told when its turn comes


def _object_images(tree: Tree) -> dict[str, Path]:
    return {path.stem: path for folder in tree.named("SegmentationObject") for path in tree.listing(folder)}


def _objects(raster: Raster, path: Path, context: ReadContext) -> tuple[SceneObject, ...]:
    """The objects of an image of objects, each of the class that most of its pixels have."""
    if raster.shape != context.size:
        return ()
    found = classed(colour_regions(path, context.size), raster.rows(0, context.size[0]), (BACKGROUND, IGNORE))
    return tuple(replace(one, word=context.classes.taxonomy[category].name) for category, one in found)
