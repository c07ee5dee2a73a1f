"""Which image an XML file is of, wherever both lie: by the file's own name, else by the name that it states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from xml.etree.ElementTree import Element

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.readers.annotation_tools import OTHER_NAMED
from earthsynth_factory.importers.scene import Evidence, ReadRequest, Strength
from earthsynth_factory.importers.texts import read_names, read_xml
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import split_of

LOOKED_AT = 8
"""XML files that are looked at to recognise a dataset."""


@dataclass(frozen=True, slots=True)
class XmlPair:
    """An image with its XML, parsed."""

    image: Path
    file: Path
    root: Element


def first_evidence(tree: Tree, wanted: Callable[[Element], bool], why: str) -> Evidence | None:
    """The first of a few XML files whose root is wanted, as a mark of a published dataset. Raises SourceError."""
    for file in islice(tree.files(".xml"), LOOKED_AT):
        if wanted(read_xml(file)):
            return Evidence(Strength.OWN, f"{tree.relative(file)}: {why}")
    return None


def pair_xml(request: ReadRequest, files: list[Path], wanted: Callable[[Element], bool]) -> Iterator[XmlPair]:
    """Pairs of all files whose root is wanted. Images of a folder of pairs that have no XML are counted: nobody knows what is
    in them, so they are no negatives. An XML that cannot be read is a fault, and its image is left out.
    """
    tree, finder = request.tree, ImageFinder(request.tree)
    met: dict[Path, set[Path]] = defaultdict(set)
    broken = 0
    for file in files:
        try:
            root = read_xml(file)
        except SourceError as error:
            request.notes.error(error)
            broken += 1
            continue
        if not wanted(root):
            continue
        images = _images(tree, finder, file, root)
        if len(set(images)) > 1:
            request.notes.remarks[OTHER_NAMED] += 1
        image = images[0] if images else None
        if image is None:
            request.notes.fault(file, "its image is missing, or several have its name")
        elif image in met[image.parent]:
            request.notes.left_out["label file of an image that has another one"] += 1
        else:
            met[image.parent].add(image)
            yield XmlPair(image, file, root)
    alone = sum(len(tree.listing(folder)) - len(images) for folder, images in met.items()) - broken
    if alone > 0:
        request.notes.left_out["image without a label file"] += alone


def image_sets(tree: Tree) -> dict[str, str]:
    """Image name → split, from `ImageSets/…/{train,val,test}.txt`; an image in several keeps the first."""
    found: dict[str, str] = {}
    lists = [folder for folder in tree.folders if "imagesets" in (part.lower() for part in folder.parts[-2:])]
    for split, name in (("train", "train"), ("val", "val"), ("test", "test"), ("train", "trainval")):
        for folder in lists:
            for path in tree.listing(folder, ".txt"):
                if path.stem.lower() == name:
                    found = {line.split()[0]: split for line in read_names(path)} | found
    return found


def _images(tree: Tree, finder: ImageFinder, file: Path, root: Element) -> list[Path]:
    """The image called as the file is, and the one that it names; either may be missing."""
    split = split_of(file, tree.root)
    stated = Path((root.findtext("filename") or "").strip().replace("\\", "/")).name
    # The names as the file's own place would write them, so that the nearest of equals is taken.
    names = [name for name in (f"{file.stem}{Path(stated).suffix or '.jpg'}", stated) if name]
    found = (finder.find(str(tree.relative(file.parent / name)), file.parent, split) for name in names)
    return [image for image in found if image is not None]
