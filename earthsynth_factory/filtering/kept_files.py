"""Which files of a folder leave with the dropped images, and which image a list means by a path, a name or a stem."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import orjson

from earthsynth_factory.filtering.labelled_folder import Entry
from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.io.pictures import SUFFIXES


@dataclass(frozen=True, eq=False)
class KeptFiles:
    """What stays of `source` and is to lie in `target`. names: of the kept entries."""

    source: Path
    target: Path
    entries: Sequence[Entry]
    names: Collection[str]

    @cached_property
    def staying(self) -> frozenset[Path]:
        """Files that a kept image owns."""
        return frozenset(file for entry in self.entries if entry.name in self.names for file in entry.files)

    @cached_property
    def leaving(self) -> frozenset[Path]:
        """Files that a dropped image owns and no kept one does, and what EarthSynth's layout made of such images."""
        owned = frozenset(file for entry in self.entries for file in entry.files) - self.staying
        return owned.union(*(_of_single_categories(folder, owned) for folder in {file.parent.parent for file in owned}))

    def image(self, name: str, near: Path) -> Path | None:
        """The file of the image that a list in the folder `near` calls by path or name; None where it is not known."""
        path = Path(os.path.normpath(name))
        if path.is_absolute():
            inside = [path.relative_to(root) for root in self._roots if path.is_relative_to(root)]
            path = inside[0] if inside else Path(*path.parts[1:])
        while path.parts[:1] == ("..",):
            path = Path(*path.parts[1:])
        return self._finder.find(path.as_posix(), near)

    def named(self, line: str, near: Path) -> frozenset[Path]:
        """The images that a line of a list means: a path, or the stem of one or several, perhaps with more behind it."""
        words = line.split()
        for text in dict.fromkeys([line, *words[:1]]):
            if text.lower().endswith(SUFFIXES) and (found := self.image(text, near)) is not None:
                return frozenset([found])
            if text in self._stems:
                return frozenset(self._stems[text])
        return frozenset()

    def moved(self, text: str) -> str:
        """The text with absolute paths into the source turned to the target."""
        for root in self._roots:
            text = re.sub(rf"{re.escape(str(root))}(?=[/\s'\"]|$)", lambda _: str(self.target.resolve()), text)
        return text

    @cached_property
    def _roots(self) -> list[Path]:
        return list(dict.fromkeys([self.source.resolve(), self.source.absolute()]))

    @cached_property
    def _finder(self) -> ImageFinder:
        return ImageFinder(Tree(self.source))

    @cached_property
    def _stems(self) -> dict[str, set[Path]]:
        found = defaultdict(set)
        for entry in self.entries:
            found[entry.files[0].stem].add(entry.files[0])
        return found


def _of_single_categories(folder: Path, images: Collection[Path]) -> set[Path]:
    """Category masks and images of these images, as the `train.jsonl` of `folder` has them; empty where there is none."""
    try:
        lines = [orjson.loads(line) for line in (folder / "train.jsonl").read_bytes().splitlines()]
        masks = {
            folder / mask
            for line in lines
            if folder / line["file_name"] in images
            for mask in line.get("category_masks", ())
        }
        return masks | {folder / line["file_name"] for line in lines if folder / line["mask_name"] in masks}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no list of that kind
        return set()
