"""COCO files of one dataset brought together: every image once, whichever of the files list it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.readers.coco_document import CocoDocument, Identity
from earthsynth_factory.importers.scene import ReadRequest, Scene
from earthsynth_factory.importers.words_of_layout import group_of, prefixed, safe_stem, split_of, split_word


@dataclass(frozen=True, slots=True)
class _Listing:
    """An image as one file has it."""

    document: CocoDocument
    image: Identity
    split: str | None

    @property
    def marks(self) -> Counter[tuple[str, int]]:
        return self.document.marks(self.image)


def join(documents: list[CocoDocument], request: ReadRequest, prefix: str) -> list[Scene]:
    """A scene for every image that is there. Raises ValueError if files contradict each other."""
    tree, finder = request.tree, ImageFinder(request.tree)
    splits = _splits([document.file for document in documents])
    listed: dict[Path, list[_Listing]] = defaultdict(list)
    for document in documents:
        split = splits[document.file] or split_of(document.file, tree.root)
        finder.expect(picture.name for picture in document.images.values())
        for index, picture in document.images.items():
            path = finder.find(picture.name, document.file.parent, split)
            if path is None:
                request.notes.fault(
                    document.file, f"image {picture.name[:200]!r} (id {index}) is missing, or several have its name"
                )
            else:
                listed[path].append(_Listing(document, index, split or split_of(path, tree.root)))
    chosen = {path: _chosen(found, request) for path, found in listed.items()}
    _refuse(chosen.values())
    scenes = []
    for path, listings in chosen.items():
        scene = _scene(path, listings, request, prefix)
        if not scene.labels[0] and any(one.image in one.document.unread for one in listings):
            request.notes.left_out["image of which no label could be read"] += 1
        else:
            scenes.append(scene)
    return scenes


def _splits(files: list[Path]) -> dict[Path, str | None]:
    """The split each file's name says: by the layout's words, or because another file differs in just that word."""
    pattern = re.compile(r"(?<![a-z])(trainval|train|val|valid|test)(?![a-z])")
    forms = {file: pattern.sub("*", file.stem.lower()) for file in files}
    alike = Counter(forms.values())
    found: dict[Path, str | None] = {}
    for file in files:
        words = pattern.findall(file.stem.lower())
        by_others = words[0] if alike[forms[file]] > 1 and len(words) == 1 else ""
        found[file] = split_word(file.stem) or split_word(by_others)
    return found


def _chosen(found: list[_Listing], request: ReadRequest) -> list[_Listing]:
    """What is taken of the listings of one image: one of equals, all of such with other classes."""
    if len(found) == 1:
        return found
    kept: list[_Listing] = []
    # The fullest first, so that what others have of it falls away; among equals the one that says the split.
    for one in sorted(found, key=lambda one: (-sum(one.marks.values()), one.split is None)):
        if any(one.marks <= other.marks for other in kept):
            request.notes.remarks["images listed twice, taken once"] += 1
        else:
            kept.append(one)
    return kept


def _refuse(chosen: Iterable[list[_Listing]]) -> None:
    """Raises ValueError if files say different things of one class in one image."""
    against: Counter[tuple[str, str]] = Counter()
    for kept in chosen:
        for number, one in enumerate(kept):
            for other in kept[:number]:
                if {word for word, _ in one.marks} & {word for word, _ in other.marks}:
                    first, second = sorted((str(one.document.file), str(other.document.file)))
                    against[first, second] += 1
    if against:
        lines = [
            f"  {count} images: {first} and {second}"
            if first != second
            else f"  {count} images: {first}, which lists each of them under several ids"
            for (first, second), count in against.items()
        ]
        raise ValueError("\n".join(["files say different things of the same images; give the one to read", *lines]))


def _scene(path: Path, listings: list[_Listing], request: ReadRequest, prefix: str) -> Scene:
    entries = [entry for one in listings for entry in one.document.of(one.image)]
    files = tuple(sorted({one.document.file for one in listings}))
    picture = listings[0].document.images[listings[0].image]
    split = next((one.split for one in listings if one.split), None)
    stem = prefixed(prefix, safe_stem(path.stem))
    group = prefixed(prefix, group_of(path, request.tree.root))
    return Scene(stem, path, (tuple(entries),), group, split, picture.scale, picture.size, files)
