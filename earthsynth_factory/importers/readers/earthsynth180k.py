"""EarthSynth-180K: `train.zip_part_*` (or what they hold: `train/{images,masks}`), 512-pixel crops with ids 0–68.

Others' data in the same layout (with its `train.jsonl`) is read too; only files with the dataset's own stems get its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from earthsynth_factory.datasets.prepared.document import is_prepared
from earthsynth_factory.datasets.prepared.layout import LIST
from earthsynth_factory.datasets.prepared.masks import earthsynth_group
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.dense import ids_table
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
from earthsynth_factory.importers.words_of_layout import split_of
from earthsynth_factory.io.label_rasters import id_raster

INFO = DatasetInfo(
    name="EarthSynth-180K",
    source="Pan et al., arXiv 2505.12108; OpenEarthMap, LoveDA, DeepGlobe, SAMRS, LAE-1M",
    licence="under the terms of each source (several are non-commercial)",
    credit="EarthSynth",
    dense=False,
)

PREFIXES = ("OEM", "LD_", "DG_", "SOTA_", "SIOR_", "FAST_", "LAE")
"""How the stems of its files begin, by source."""

LOOKED_AT = 50


class EarthSynth180K(Reader):
    """Whole files are taken over as they are: they are crops already."""

    kind = "earthsynth-180k"
    forms = ("masks",)
    cuts: ClassVar[bool] = False

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for masks in tree.named("masks"):
            if not tree.inner(masks.parent, "images") or is_prepared(masks.parent):
                continue
            named = tree.listing(masks, ".png")[:LOOKED_AT]
            if named and all(mask.stem.startswith(PREFIXES) for mask in named):
                return Evidence(Strength.OWN, f"{tree.relative(masks)} with stems such as {named[0].stem}")
            if (list_ := masks.parent / LIST).is_file() and _is_its_list(list_):
                return Evidence(Strength.OWN, f"{tree.relative(masks)} beside its {LIST}")
        return None

    def open(self, request: ReadRequest) -> Source:
        tree, scenes = request.tree, []
        for folder in tree.named("masks"):
            beside = tree.inner(folder.parent, "images")
            images = tree.by_stem(beside) if beside else {}
            for mask in tree.listing(folder, ".png"):
                image = images.get(mask.stem.replace("mask", "image")) or images.get(mask.stem)
                if image is None:
                    request.notes.fault(mask, "its image is missing")
                    continue
                scenes.append(Scene(mask.stem, image, mask, earthsynth_group(mask.stem), split_of(mask, tree.root)))
        if not scenes:
            raise SourceError(f"{request.path}: neither train.zip_part_* nor images/ with masks/ in it")
        ours = all(scene.stem.startswith(PREFIXES) for scene in scenes)
        own = DatasetInfo(request.name, "EarthSynth's training layout", "unknown", "", dense=False)
        return Source(INFO if ours else own, dict.fromkeys(category.name for category in earthsynth()), scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        # Ids beyond EarthSynth's are those that the map file gives to categories of the user's own.
        words = {category.id: category.name for category in context.classes.taxonomy}
        return SceneLabels(
            raster=id_raster(scene.labels, ids_table(words | {255: "ignore"}, context.classes), context.notes.remarks)
        )


def _is_its_list(path: Path) -> bool:
    """Whether the first line names an image, a mask and a text, as its trainer wants them."""
    with path.open("rb") as file:
        line = file.readline(1 << 16)
    return all(key in line for key in (b'"file_name"', b'"mask_name"', b'"text"'))
