"""Pascal VOC: `JPEGImages/`, `Annotations/*.xml`, `ImageSets/Main/*.txt`. Corners count from 1 and are inclusive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.readers.files import by_stem, folders_named, listing, read_lines, read_xml, safe_stem
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Notes, Reader, Request, Scene, Source


class Voc(Reader):
    """Upright boxes."""

    kind = "voc"

    def recognise(self, path: Path) -> str | None:
        for folder in folders_named(path, "Annotations"):
            if (folder.parent / "JPEGImages").is_dir() and listing(folder, ".xml"):
                return f"{folder} of XML files beside JPEGImages"
        return None

    def open(self, request: Request) -> Source:
        scenes, words = [], Counter[str]()
        for folder in folders_named(request.path, "Annotations"):
            images, splits = by_stem(folder.parent / "JPEGImages"), image_sets(folder.parent)
            for file in listing(folder, ".xml"):
                if file.stem not in images:
                    request.notes.fault(file, "its image is missing")
                    continue
                words.update(one.word for one in drawn_in(file, Notes()))
                stem = safe_stem(file.stem)
                scenes.append(Scene(stem, images[file.stem], file, stem, splits.get(file.stem)))
        if not scenes:
            raise SourceError(f"{request.path}: no Annotations/*.xml with JPEGImages/")
        info = DatasetInfo(request.path.name, "Pascal VOC annotations", "unknown", "", dense=False)
        return Source(info, words, scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return Labels(objects=filled(drawn_in(scene.labels, aid.notes), aid.size, aid.notes))


def drawn_in(path: Path, notes: Notes) -> Iterator[Drawn]:
    """The objects of an XML file: `bndbox`, or the four corners of `robndbox`. Raises `SourceError` on malformed XML."""
    try:
        root = read_xml(path)
    except SourceError as error:
        notes.error(error)
        return
    for number, entry in enumerate(root.iter("object"), start=1):
        place = f"{path}, object {number}"
        try:
            yield Drawn(_text(entry, "name"), _given(entry), place, difficult=entry.findtext("difficult") == "1")
        except ValueError as error:
            notes.fault(place, str(error))


def image_sets(folder: Path) -> dict[str, str]:
    """Image name → split, from `ImageSets/Main/{train,val,test}.txt`; an image in several keeps the first."""
    found: dict[str, str] = {}
    for split in ("train", "val", "test"):
        file = folder / "ImageSets" / "Main" / f"{split}.txt"
        for line in read_lines(file) if file.is_file() else ():
            if line.strip():
                found.setdefault(line.split()[0], split)
    return found


def _given(entry: Element) -> Given:
    oriented = entry.find("robndbox")
    if oriented is not None:
        names = ("left_top", "right_top", "right_bottom", "left_bottom")
        return Given.of_corners(_number(oriented, f"{axis}_{name}") for name in names for axis in ("x", "y"))
    box = entry.find("bndbox")
    if box is None:
        raise ValueError("has neither bndbox nor robndbox")
    left, top, right, bottom = (_number(box, name) for name in ("xmin", "ymin", "xmax", "ymax"))
    return Given.of_box(left - 1, top - 1, right - left + 1, bottom - top + 1)


def _number(box: Element, name: str) -> float:
    try:
        return float(_text(box, name))
    except ValueError:
        raise ValueError(f"<{name}> is no number") from None


def _text(entry: Element, name: str) -> str:
    text = (entry.findtext(name) or "").strip()
    if not text:
        raise ValueError(f"has no <{name}>")
    return text
