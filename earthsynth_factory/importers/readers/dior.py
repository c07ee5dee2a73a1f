"""DIOR: 20 classes on 800-pixel images, `Annotations/{Horizontal,Oriented} Bounding Boxes/*.xml`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.boxes import filled
from earthsynth_factory.importers.readers.files import by_stem, folders_named, listing, prefixed
from earthsynth_factory.importers.readers.voc import drawn_in, image_sets
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Notes, Reader, Request, Scene, Source

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
    """Oriented boxes are taken where both kinds are there."""

    kind = "dior"

    def recognise(self, path: Path) -> str | None:
        found = folders_named(path, *ORIENTED, *HORIZONTAL)
        return f"{found[0].name} under Annotations" if found else None

    def open(self, request: Request) -> Source:
        scenes, words = [], Counter[str]()
        folders = folders_named(request.path, *ORIENTED) or folders_named(request.path, *HORIZONTAL)
        for folder in folders:
            home = folder.parent.parent
            images = {s: p for part in sorted(home.glob("JPEGImages*")) for s, p in by_stem(part).items()}
            splits = image_sets(home)
            for file in listing(folder, ".xml"):
                if file.stem not in images:
                    request.notes.fault(file, "its image is missing")
                    continue
                words.update(one.word for one in drawn_in(file, Notes()))
                stem = prefixed("DIOR_", file.stem)
                scenes.append(Scene(stem, images[file.stem], file, stem, splits.get(file.stem)))
        if not scenes:
            raise SourceError(
                f"{request.path}: no Annotations/* Bounding Boxes/*.xml with JPEGImages*/; give DIOR's folder"
            )
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return Labels(objects=filled(drawn_in(scene.labels, aid.notes), aid.size, aid.notes))
