"""HRSC2016: ships as oriented boxes; `AllImages/*.bmp`, `Annotations/*.xml` whose root is `HRSC_Image`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.turned import turned_box
from earthsynth_factory.importers.readers.voc import number_of
from earthsynth_factory.importers.readers.xml_pairs import XmlPair, first_evidence, image_sets, pair_xml
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
)
from earthsynth_factory.importers.texts import read_xml
from earthsynth_factory.importers.words_of_layout import prefixed, safe_stem, split_of

INFO = DatasetInfo(
    name="HRSC2016",
    source="Liu et al., ICPRAM 2017; Google Earth imagery",
    licence="research use",
    credit="HRSC2016",
    dense=False,
)

WORD = "ship"
"""Its finer classes are numbers of the publisher's table; all are ships."""


class Hrsc2016(Reader):
    """`mbox_*` is centre, size and angle in radians; `Img_Resolution` is metres per pixel."""

    kind = "hrsc2016"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        return first_evidence(request.tree, _is_ours, "HRSC_Image")

    def open(self, request: ReadRequest) -> Source:
        tree, count, scenes = request.tree, 0, []
        splits = image_sets(tree)
        for pair in pair_xml(request, list(tree.files(".xml")), _is_ours):
            count += sum(1 for _ in _drawn(pair.root, pair.file, Notes()))
            stem = prefixed("HRSC_", safe_stem(pair.image.stem))
            split = splits.get(pair.file.stem) or split_of(pair.image, tree.root)
            scenes.append(Scene(stem, pair.image, pair.file, stem, split, _scale(pair.root), size=_size(pair)))
        if not scenes:
            raise SourceError(f"{request.path}: no XML of HRSC2016 (HRSC_Image) with its image")
        return Source(INFO, Counter({WORD: count}), scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return SceneLabels(
            objects=filled(_drawn(read_xml(scene.labels), scene.labels, context.notes), context.size, context.notes)
        )


def _is_ours(root: Element) -> bool:
    return root.tag == "HRSC_Image"


def _drawn(root: Element, path: Path, notes: Notes) -> Iterator[Drawn]:
    for number, entry in enumerate(root.iter("HRSC_Object"), start=1):
        place = f"{path}, object {number}"
        try:
            given = turned_box(*(number_of(entry, f"mbox_{name}") for name in ("cx", "cy", "w", "h", "ang")))
        except ValueError as error:
            notes.fault(place, str(error))
            continue
        yield Drawn(WORD, given, place, difficult=entry.findtext("difficult") == "1")


def _scale(root: Element) -> float | None:
    try:
        metres = number_of(root, "Img_Resolution")
    except ValueError:
        return None
    return metres if 0.001 < metres < 1000 else None


def _size(pair: XmlPair) -> tuple[int, int] | None:
    try:
        found = int(number_of(pair.root, "Img_SizeHeight")), int(number_of(pair.root, "Img_SizeWidth"))
    except ValueError:
        return None
    return found if min(found) > 0 else None
