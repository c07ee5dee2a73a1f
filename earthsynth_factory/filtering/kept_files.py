"""Which files of a folder leave with the dropped images, and which image a list means by a path, a name or a stem."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from earthsynth_factory.datasets.prepared.train_list import add_category_files
from earthsynth_factory.filtering.labelled_folder import LabelledFolder, LabelledImage
from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.io.compact import FileSet, Places
from earthsynth_factory.io.pictures import SUFFIXES
from earthsynth_factory.rfilter.selections.base import Bools


@dataclass(frozen=True, eq=False)
class KeptFiles:
    """What stays of `folder` and is to lie in `target`. kept: (N,) which of its entries."""

    folder: LabelledFolder
    target: Path
    kept: Bools

    @property
    def source(self) -> Path:
        return self.folder.path

    @cached_property
    def names(self) -> Container[str]:
        """Of the kept entries."""
        return Places(entry.name for entry in self._entries(kept=True))

    @cached_property
    def staying(self) -> FileSet:
        """Files that a kept image owns."""
        return FileSet(file for entry in self._entries(kept=True) for file in entry.places)

    @cached_property
    def leaving(self) -> FileSet:
        """Files that a dropped image owns and no kept one does, and what EarthSynth's layout made of such images."""
        found, folders = FileSet(), set()
        for file in (file for entry in self._entries(kept=False) for file in entry.places if file not in self.staying):
            found.add(file)
            folders.add(file.parent.parent)
        for folder in folders:
            add_category_files(folder, found)
        return found

    def _entries(self, kept: bool) -> Iterator[LabelledImage]:
        return (entry for entry, stays in zip(self.folder.entries, self.kept.tolist(), strict=True) if stays is kept)

    def image(self, name: str, near: Path) -> Path | None:
        """The file of the image that a list in the folder `near` calls by path or name; None if it is not known."""
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
        for entry in self.folder.entries:
            found[entry.places[0].stem].add(entry.places[0])
        return found
