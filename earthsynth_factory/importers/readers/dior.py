"""DIOR: 20 classes on 800-pixel images, `Annotations/{Horizontal,Oriented} Bounding Boxes/*.xml`, or in mirrors
`Annotations/trainval/*.xml` with `Images/trainval`.
"""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.voc import open_voc, voc_labels
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
from earthsynth_factory.importers.tree import Tree

INFO = DatasetInfo(
    name="DIOR",
    source="Li et al., ISPRS 2020; oriented boxes of DIOR-R, Cheng et al. 2022",
    licence="research use; Google Earth imagery",
    credit="DIOR, Northwestern Polytechnical University",
    dense=False,
)

ORIENTED = ("Oriented Bounding Boxes", "Oriented_Bounding_Boxes")
HORIZONTAL = ("Horizontal Bounding Boxes", "Horizontal_Bounding_Boxes")


class Dior(Reader):
    """Oriented boxes are taken if both kinds are there."""

    kind = "dior"
    forms = ("voc",)

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        found = [folder for folder in tree.named(*ORIENTED, *HORIZONTAL) if tree.listing(folder, ".xml")]
        return Evidence(Strength.OWN, f"a folder {found[0].name}") if found else None

    def open(self, request: ReadRequest) -> Source:
        return open_voc(request, INFO, "DIOR_", _files(request.tree))

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return voc_labels(scene, context)


def _files(tree: Tree) -> list[Path]:
    folders = tree.named(*ORIENTED) or tree.named(*HORIZONTAL) or tree.named("Annotations")
    found = [path for folder in folders for path in tree.files(".xml", below=folder)]
    if not found:
        raise SourceError(f"{tree.root}: no Annotations/**/*.xml; give DIOR's folder")
    return found
