"""What readers of annotation tools share: files that name their images, which may lie anywhere in the tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.scene import DatasetInfo, Evidence, ReadRequest, Scene, Source, Strength
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import group_of, safe_stem

OTHER_NAMED = "label files that name another image than the one called as they are, which is taken"


def format_evidence(tree: Tree, files: Iterable[Path], why: str) -> Evidence | None:
    """The first of the files that look like the tool's, if there is one."""
    first = next(iter(files), None)
    return None if first is None else Evidence(Strength.FORMAT, f"{tree.relative(first)}: {why}")


class AnnotatedImages:
    """The images that were found so far, and the words of their classes."""

    def __init__(self, request: ReadRequest) -> None:
        self._request, self._scenes = request, list[Scene]()
        self.finder = ImageFinder(request.tree)
        self.words = Counter[str]()

    def find(self, file: Path, *names: str, missing: str = "", split: str | None = None) -> Path | None:
        """The image that `file` calls by the first of the names that is known. None is noted as a fault, in these words."""
        found = [path for name in names if (path := self.finder.find(name, file.parent, split)) is not None]
        image = found[0] if found else None
        if len(set(found)) > 1:
            self._request.notes.remarks[OTHER_NAMED] += 1
        if image is None:
            said = missing or f"image {names[0][:200]!r} is missing, or several have its name"
            self._request.notes.fault(file, said)
        return image

    def add(
        self,
        image: Path,
        labels: Any,
        split: str | None,
        size: tuple[int, int] | None = None,
        shared: tuple[Path, ...] = (),
    ) -> None:
        """A scene; arguments as its fields. Its group follows from where the image lies."""
        group = group_of(image, self._request.tree.root)
        self._scenes.append(Scene(safe_stem(image.stem), image, labels, group, split, None, size, shared))

    def source(self, tool: str, sought: str) -> Source:
        """The dataset. Raises SourceError, naming what was sought, if no image was found."""
        if not self._scenes:
            raise SourceError(f"{self._request.path}: no {sought}")
        info = DatasetInfo(self._request.name, f"{tool} annotations", "unknown", "", dense=False)
        return Source(info, self.words, self._scenes)
