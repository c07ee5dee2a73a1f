"""FAIR1M: `images/*.tif`, `labelXml/*.xml` with `possibleresult/name` and the corners of oriented boxes in pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.voc import size_of
from earthsynth_factory.importers.readers.xml_pairs import first_evidence, pair_xml
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
from earthsynth_factory.importers.words_of_layout import group_of, prefixed, safe_stem, split_of

INFO = DatasetInfo(
    name="FAIR1M",
    source="Sun et al., ISPRS 2022; Gaofen and Google Earth imagery",
    licence="CC BY-NC-SA 3.0",
    credit="FAIR1M, Aerospace Information Research Institute",
    dense=False,
)


class Fair1m(Reader):
    """The fifth point of a box repeats the first."""

    kind = "fair1m"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        return first_evidence(request.tree, _is_ours, "possibleresult and points")

    def open(self, request: ReadRequest) -> Source:
        tree, words, scenes = request.tree, Counter[str](), []
        for pair in pair_xml(request, list(tree.files(".xml")), _is_ours):
            words.update(one.word for one in _drawn(pair.root, pair.file, Notes()))
            stem, group = (
                prefixed("FAIR1M_", safe_stem(pair.image.stem)),
                prefixed("FAIR1M_", group_of(pair.image, tree.root)),
            )
            scenes.append(
                Scene(stem, pair.image, pair.file, group, split_of(pair.image, tree.root), size=size_of(pair))
            )
        if not scenes:
            raise SourceError(f"{request.path}: no XML of FAIR1M (possibleresult, points) with its image")
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        return SceneLabels(
            objects=filled(_drawn(read_xml(scene.labels), scene.labels, context.notes), context.size, context.notes)
        )


def _is_ours(root: Element) -> bool:
    return root.tag == "annotation" and root.find("objects/object/possibleresult") is not None


def _drawn(root: Element, path: Path, notes: Notes) -> Iterator[Drawn]:
    for number, entry in enumerate(root.iterfind("objects/object"), start=1):
        place = f"{path}, object {number}"
        if (entry.findtext("coordinate") or "pixel").strip().lower() != "pixel":
            notes.fault(place, "its corners are not in pixels; skipped")
            continue
        try:
            corners = [
                float(text) for point in entry.iterfind("points/point") for text in (point.text or "").split(",")
            ]
            if len(corners) not in (8, 10):
                raise ValueError
        except ValueError:
            notes.fault(place, "its points are not four corners x,y")
            continue
        word = (entry.findtext("possibleresult/name") or "").strip()
        yield Drawn(word, Given.of_corners(corners[:8]), place)
