"""OpenEarthMap: `<region>/{images,labels}/<region>_<n>.tif`, eight land-cover classes; its xBD images come separately."""

from __future__ import annotations

import re
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.classes import table_of_names
from earthsynth_factory.importers.readers.dense import ids_table, uncounted
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
from earthsynth_factory.importers.texts import read_names
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import prefixed
from earthsynth_factory.io.label_rasters import id_raster

WORDS = table_of_names(
    ("ignore", "bare land", "grass", "pavement", "road", "tree", "water", "agriculture land", "building")
)
"""Ids 1–8 are EarthSynth's own; 0 is unknown."""

INFO = DatasetInfo(
    name="OpenEarthMap",
    source="Xia et al., WACV 2023",
    licence="labels CC BY-NC-SA 4.0; imagery under the terms of each source",
    credit="OpenEarthMap",
    dense=True,
)


class OpenEarthMap(Reader):
    """An image that is missing is counted: xBD's are filled in by a script of the publisher.

    Its own marks: files called after the folder of their region, and beside the regions its list of a split that names them,
    its list of xBD's files, or its own name.
    """

    kind = "openearthmap"
    forms = ("masks",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        labels = [label for folder in _regions(tree) for label in tree.listing(folder)]
        if not labels:
            return None
        example = f"{tree.relative(labels[0])}: called after its region"
        named = [folder.name for folder in tree.folders if folder.name.lower().startswith("openearthmap")]
        known = {label.name for label in labels}
        lists = [file.name for file in tree.called("train.txt", "val.txt", "test.txt") if known & set(read_names(file))]
        marks = [*named, *lists, *(file.name for file in tree.called("xbd_files.csv"))]
        if marks:
            return Evidence(Strength.OWN, f"{example}, and {marks[0]}")
        return Evidence(Strength.SHAPE, example) if len({label.parent for label in labels}) > 1 else None

    def open(self, request: ReadRequest) -> Source:
        tree, scenes = request.tree, []
        splits = {
            name: split
            for split in ("train", "val", "test")
            for file in tree.called(f"{split}.txt")
            for name in read_names(file)
        }
        for folder in _regions(tree):
            beside = tree.inner(folder.parent, "images")
            images = tree.by_stem(beside) if beside else {}
            for label in tree.listing(folder):
                if label.stem not in images:
                    request.notes.left_out["image missing (OpenEarthMap leaves out those of xBD)"] += 1
                    continue
                stem = prefixed("OEMxBD_", label.stem)
                scenes.append(Scene(stem, images[label.stem], label, label.stem, splits.get(label.name)))
        if not scenes:
            raise SourceError(
                f"{request.path}: no <region>/labels/<region>_<n>.tif with its image; give OpenEarthMap's top folder"
            )
        return Source(INFO, uncounted(WORDS), scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return SceneLabels(raster=id_raster(scene.labels, ids_table(WORDS, context.classes), context.notes.remarks))


def _regions(tree: Tree) -> list[Path]:
    """Folders of labels that are all called after the folder around."""
    found = []
    for folder in tree.named("labels"):
        form = re.compile(rf"{re.escape(folder.parent.name)}_\d+", re.IGNORECASE)
        labels = tree.listing(folder)
        if labels and all(form.fullmatch(label.stem) for label in labels):
            found.append(folder)
    return found
