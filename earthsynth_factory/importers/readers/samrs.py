"""SAMRS: SOTA, SIOR and FAST. `gray/<name>.png` class ids (255 unlabelled), `ins/<name>.pkl` an RLE for every object."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from earthsynth_factory.domain.taxonomy import IGNORE
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.outlines import read_rle
from earthsynth_factory.importers.readers.dense import ids_table
from earthsynth_factory.importers.readers.pickles import read_plain
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    Notes,
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
from earthsynth_factory.importers.words_of_layout import prefixed, split_of
from earthsynth_factory.io.label_rasters import id_raster

UNLABELLED = 255

NAMES = {
    "SOTA": """large-vehicle swimming-pool helicopter bridge plane ship soccer-ball-field basketball-court
        ground-track-field small-vehicle baseball-diamond tennis-court roundabout storage-tank harbor container-crane
        airport helipad""",
    "SIOR": """airplane airport baseballfield basketballcourt bridge chimney expressway-service-area
        expressway-toll-station dam golffield groundtrackfield harbor overpass ship stadium storagetank tenniscourt
        trainstation vehicle windmill""",
    "FAST": """A220 A321 A330 A350 ARJ21 Baseball-Field Basketball-Court Boeing737 Boeing747 Boeing777 Boeing787 Bridge
        Bus C919 Cargo-Truck Dry-Cargo-Ship Dump-Truck Engineering-Ship Excavator Fishing-Boat Football-Field
        Intersection Liquid-Cargo-Ship Motorboat other-airplane other-ship other-vehicle Passenger-Ship Roundabout
        Small-Car Tennis-Court Tractor Trailer Truck-Tractor Tugboat Van Warship""",
}
"""Class words by id of each set."""

INFO = DatasetInfo(
    name="SAMRS",
    source="Wang et al., NeurIPS 2023 datasets track; imagery of DOTA-v2.0, DIOR and FAIR1M",
    licence="annotations CC BY-NC-SA 4.0; imagery under the terms of each source",
    credit="SAMRS, ViTAE-Transformer",
    dense=False,
)


def words_of(which: str) -> list[str]:
    """The class words of one set, by id."""
    return NAMES[which].split()


class Samrs(Reader):
    """The set is told by a folder named for it; images are found by stem, wherever they lie below that folder."""

    kind = "samrs"
    forms = ("masks",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for folder in tree.named("gray", "semlabels"):
            if tree.listing(folder, ".png") and (which := _set_of(folder)):
                return Evidence(Strength.OWN, f"{folder}: label images of {which}")
        return None

    def open(self, request: ReadRequest) -> Source:
        tree, scenes = request.tree, []
        words: dict[str, int | None] = {}
        for folder in tree.named("gray", "semlabels"):
            which, masks = _set_of(folder), tree.listing(folder, ".png")
            if not masks:
                continue
            if which is None:
                raise SourceError(f"{folder}: no folder above it is named SOTA, SIOR or FAST, so its ids mean nothing")
            words |= dict.fromkeys(words_of(which))
            pickled = tree.inner(folder.parent, "ins")
            images, objects = _images(folder, tree), tree.by_stem(pickled, ".pkl") if pickled else {}
            for mask in masks:
                if mask.stem not in images:
                    request.notes.fault(mask, "its image is missing")
                    continue
                stem, labels = prefixed(f"{which}_", mask.stem), (mask, objects.get(mask.stem), which)
                split = split_of(mask, tree.root)
                scenes.append(Scene(stem, images[mask.stem], labels, _group(which, mask.stem), split))
        if not scenes:
            raise SourceError(f"{request.path}: no gray/*.png with images; give SAMRS's folder (SOTA, SIOR, FAST)")
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        mask, pickled, which = scene.labels
        table = ids_table(dict(enumerate(words_of(which))), context.classes) | {UNLABELLED: IGNORE}
        objects = [] if pickled is None else _objects(pickled, words_of(which), context.size, context.notes)
        return SceneLabels(id_raster(mask, table, context.notes.remarks), tuple(objects))


def _objects(path: Path, names: list[str], size: tuple[int, int], notes: Notes) -> list[SceneObject]:
    entries = read_plain(path)
    if not isinstance(entries, list):
        raise SourceError(f"{path}: holds a {type(entries).__name__}, not a list of objects")
    found = []
    for number, entry in enumerate(entries, start=1):
        try:
            patch = read_rle(entry["mask"], size)
            word = _word(entry, names)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            notes.fault(f"{path}, object {number}", f"{type(error).__name__}: {error}")
            continue
        if patch is None:
            notes.left_out["empty mask"] += 1
            continue
        found.append(SceneObject(word, *patch))
    return found


def _word(entry: dict[str, Any], names: list[str]) -> str:
    """Older files have the id under `category`, newer ones the name."""
    category = entry.get("category", entry.get("label"))
    return category if isinstance(category, str) else names[int(category)]  # type: ignore[arg-type]


def _set_of(folder: Path) -> str | None:
    for part in reversed(folder.parts):
        words = re.split(r"[^a-z]+", part.lower())
        found = [which for which in NAMES if which.lower() in words]
        if found:
            return found[0]
    return None


def _images(folder: Path, tree: Tree) -> dict[str, Path]:
    """Images beside the labels, or one or two levels up, but not above the root."""
    for place in (folder.parent, folder.parent.parent, folder.parent.parent.parent):
        if place not in tree.folders:
            break
        found = tree.inner(place, "images")
        if found and (images := tree.by_stem(found)):
            return images
    return {}


def _group(which: str, stem: str) -> str:
    """The scene a tile was cut from: DOTA's tiles are named <scene>__…, FAIR1M's <split>_<scene>_<tile>."""
    if "__" in stem:
        return f"{which}_{stem.split('__')[0]}"
    parts = stem.split("_")
    return f"{which}_{'_'.join(parts[:-1])}" if len(parts) > 2 else f"{which}_{stem}"
