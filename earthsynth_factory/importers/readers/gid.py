"""GID land cover in 224-pixel crops (Gaofen-2, about 4 m): five classes and "undefined"."""

from __future__ import annotations

import re

from earthsynth_factory.domain.seeds import unit
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
from earthsynth_factory.io.label_rasters import id_raster

METRES_PER_PIXEL = 4.0
"""Gaofen-2's multispectral ground sampling; that the crops were not resampled is our assumption."""

HELD_OUT = 0.1
"""Share of files held out, chosen by a hash of its name: the crops do not say which scene they come from."""

NAMES = re.compile(r"(builtup|farmland|forest|meadow|water)_\d+")
"""How all its crops are called."""

WORDS = table_of_names(("urban land", "agriculture land", "forest land", "grass", "water", "ignore"))
"""Label 0 is a class of its own here; 5 is undefined."""

INFO = DatasetInfo(
    name="GID (five classes), 224-pixel crops",
    source="Gaofen Image Dataset (Gaofen-2)",
    licence="unclear; research use assumed",
    credit="Gaofen Image Dataset, Wuhan University",
    dense=True,
)


class Gid(Reader):
    """Reads `{images,labels}`: one label PNG a crop. Its own mark is that all are called after their main class."""

    kind = "gid"
    forms = ("masks",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for folder in tree.named("labels"):
            labels = tree.listing(folder, ".png")
            if labels and tree.inner(folder.parent, "images") and all(NAMES.fullmatch(one.stem) for one in labels):
                return Evidence(Strength.OWN, f"{tree.relative(labels[0])}: every label is called after its main class")
        return None

    def open(self, request: ReadRequest) -> Source:
        tree, scenes = request.tree, []
        for folder in tree.named("labels"):
            beside = tree.inner(folder.parent, "images")
            images = tree.by_stem(beside) if beside else {}
            for label in tree.listing(folder, ".png"):
                if label.stem not in images:
                    request.notes.fault(label, "its image is missing")
                    continue
                split = "test" if unit(0, "gid", label.stem) < HELD_OUT else "train"
                scenes.append(Scene(label.stem, images[label.stem], label, label.stem, split, METRES_PER_PIXEL))
        if not scenes:
            raise SourceError(f"{request.path}: no labels/*.png; give the folder that holds images/ and labels/")
        return Source(INFO, uncounted(WORDS), scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return SceneLabels(raster=id_raster(scene.labels, ids_table(WORDS, context.classes), context.notes.remarks))
