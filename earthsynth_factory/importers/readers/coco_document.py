"""One COCO file, read piece by piece: what it lists, and where in it each annotation stands."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.json_pieces import JsonPiece, pieces
from earthsynth_factory.importers.scene import Notes

KEYS = ("images", "annotations", "categories")

Identity = int | str


class Entry(NamedTuple):
    """An annotation by its place in its file. segment: a mask that stands in for a box alone."""

    file: Path
    start: int
    length: int
    word: str
    segment: Any = None


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image as it is listed. size: (H, W) pixels, None if that is missing or makes no sense. scale: metres per pixel,
    which our own writer adds.
    """

    name: str
    size: tuple[int, int] | None
    scale: float | None = None


class _Place(NamedTuple):
    """mark: a number that is equal where boxes are."""

    start: int
    length: int
    category: Identity
    segment: Any
    mark: int


@dataclass(slots=True)
class CocoDocument:
    """is_labels: whether it is of boxes or outlines with classes. unread: images with an annotation of no known class."""

    file: Path
    names: dict[Identity, str] = field(default_factory=dict)
    images: dict[Identity, CocoImage] = field(default_factory=dict)
    places: dict[Identity, list[_Place]] = field(default_factory=lambda: defaultdict(list))
    unread: set[Identity] = field(default_factory=set)
    is_labels: bool = False

    def of(self, image: Identity) -> tuple[Entry, ...]:
        """The image's annotations."""
        found = self.places.get(image, ())
        return tuple(Entry(self.file, one.start, one.length, self.names[one.category], one.segment) for one in found)

    def marks(self, image: Identity) -> Counter[tuple[str, int]]:
        """Class and mark of the image's annotations, by which files are compared."""
        return Counter((self.names[one.category], one.mark) for one in self.places.get(image, ()))


def looks_like_coco(path: Path) -> bool:
    """Whether the file's beginning or end names COCO's lists with boxes or masks; nothing is parsed."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
            file.seek(max(0, path.stat().st_size - (1 << 16)))
            ends = head + file.read()
    except OSError:
        return False
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] != b"{" or b'"segments_info"' in ends:
        return False
    named = sum(f'"{key}"'.encode() in ends for key in KEYS)
    return named >= 2 or (named == 1 and b'"file_name"' in ends)


def read_coco(path: Path, notes: Notes, segments: Mapping[int, Any]) -> CocoDocument:
    """Everything but the annotations' own content. Raises `SourceError` on malformed JSON; smaller faults are noted."""
    found, faults, twice = CocoDocument(path), Counter[str](), set[Identity]()
    lists: set[str] = set()
    for number, piece in enumerate(pieces(path, *KEYS, lists=lists)):
        if piece.key == "categories":
            _category(found, piece.value, faults)
        elif piece.key == "images":
            _image(found, piece.value, twice, faults)
        else:
            _annotation(found, piece, segments, faults, number)
    for image in twice:
        faults[f"image id {image!r} is given to several images; they and their annotations are left out"] += 1
        found.images.pop(image, None)
        found.places.pop(image, None)
    _check(found, twice, faults)
    if "annotations" not in lists:  # a list of images that nobody labelled yet, or a form of someone's own
        found.is_labels = False
    for fault, count in faults.items() if found.is_labels else ():
        notes.fault(path, fault if count == 1 else f"{count}× {fault}")
    return found


def identity(value: Any) -> Identity | None:
    """An id as files write it: 1, 1.0 and "1" are one; None if it is none.

    >>> identity("12"), identity(12.0), identity("a7"), identity([1])
    (12, 12, 'a7', None)
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and (value == "0" or value[0] != "0") else value
    return value if isinstance(value, int) else None


def flag(value: Any) -> bool:
    """A yes or no as files write it: 1, true, "1", "true".

    >>> flag("0"), flag("true"), flag(None), flag(1)
    (False, True, False, True)
    """
    return value.strip().lower() in ("1", "true", "yes") if isinstance(value, str) else bool(value)


def _category(found: CocoDocument, entry: Mapping[str, Any], faults: Counter[str]) -> None:
    index, name = identity(entry.get("id")), entry.get("name")
    if index is None or not isinstance(name, str | int | float):
        faults["a category without id and name"] += 1
    elif found.names.setdefault(index, str(name)) != str(name):
        raise SourceError(
            f"{found.file}: category id {index!r} is {found.names[index]!r} and {name!r}; make ids distinct"
        )


def _image(found: CocoDocument, entry: Mapping[str, Any], twice: set[Identity], faults: Counter[str]) -> None:
    index = identity(entry.get("id"))
    name = next(
        (entry[key] for key in ("file_name", "coco_url", "filename", "path") if isinstance(entry.get(key), str)), None
    )
    if index is None or not name:
        faults["an image without id and file_name"] += 1
        return
    scale = entry.get("metres_per_pixel")
    picture = CocoImage(name, coco_size(entry), scale if isinstance(scale, float) and 0 < scale < 1000 else None)
    if found.images.setdefault(index, picture).name != name:
        twice.add(index)


def coco_size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """(H, W) that an image's entry says, None if that is missing or makes no sense."""
    height, width = identity(entry.get("height")), identity(entry.get("width"))
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return height, width
    return None


def _annotation(
    found: CocoDocument, piece: JsonPiece, segments: Mapping[int, Any], faults: Counter[str], number: int
) -> None:
    entry = piece.value
    image, category, own = (
        identity(entry.get("image_id")),
        identity(entry.get("category_id")),
        identity(entry.get("id")),
    )
    if image is None or category is None:
        if "caption" not in entry:
            faults["an annotation without image_id and category_id"] += 1
            found.unread.update(() if image is None else (image,))
        return
    found.is_labels = True
    segment = segments.get(own) if segments and isinstance(own, int) else None
    box = entry.get("bbox")
    mark = hash(str(box)) if isinstance(box, list) else number
    found.places[image].append(_Place(piece.start, piece.length, category, segment, mark))


def _check(found: CocoDocument, twice: set[Identity], faults: Counter[str]) -> None:
    """Let go of annotations that lead nowhere; a file without categories holds no labels."""
    found.is_labels = bool(found.names) and (found.is_labels or (bool(found.images) and not found.places))
    strange = [image for image in found.places if image not in found.images]
    if strange and len(strange) == len(found.places) and not twice:  # ids of another file: nobody knows what is empty
        found.unread.update(found.images)
    for image in strange:
        if image not in twice:
            faults[f"annotations of images that are not listed (image_id {image!r} …)"] += len(found.places[image])
        del found.places[image]
    for image, places in found.places.items():
        for one in places:
            if one.category not in found.names:
                found.unread.add(image)
                faults[f"an annotation of category_id {one.category!r}, which is not listed"] += 1
        found.places[image] = [one for one in places if one.category in found.names]
