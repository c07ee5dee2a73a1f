"""A dataset's folder, listed once: every reader looks for its files here, in whatever case they are called and how deep they
lie.

Links are followed, each place once; those that lead out of the folder are counted, so that it can be said. Hidden files, and
what archives of macOS leave behind, are passed over.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.pictures import SUFFIXES

MAX_FILES = 5_000_000
"""More files than this are no dataset but a disk."""

MAX_DEPTH = 12
"""Folders below the one given that are looked into."""

_PASSED_OVER = ("__macosx", "@eadir", "$recycle.bin")


class Tree:
    """root: the folder given, or the one around the `file` given. outward: links that lead out of it, with their targets."""

    def __init__(self, root: Path, file: Path | None = None) -> None:
        """Raises `SourceError` if there are too many files."""
        self.root = root
        self.file = file
        self.outward: dict[Path, Path] = {}
        self.folders: dict[Path, tuple[str, ...]] = {}
        self._inner: dict[Path, list[Path]] = defaultdict(list)
        self._count = 0
        self._real = root.resolve()
        self._list(root, frozenset(), 0)

    def files(self, *suffixes: str, below: Path | None = None) -> Iterator[Path]:
        """Every file with one of these suffixes (default: any), folder by folder, by name."""
        for folder in self.folders if below is None else self._below(below):
            yield from self.listing(folder, *suffixes) if suffixes else (folder / n for n in self.folders[folder])

    def images(self, below: Path | None = None) -> Iterator[Path]:
        """Every file that is called as images are."""
        return self.files(*SUFFIXES, below=below)

    def listing(self, folder: Path, *suffixes: str) -> list[Path]:
        """The files of one folder with these suffixes (default: images), by name. Empty if there is no such folder."""
        wanted = suffixes or SUFFIXES
        names = self.folders.get(folder, ())
        return [folder / name for name in names if os.path.splitext(name)[1].lower() in wanted]  # noqa: PTH122

    def by_stem(self, folder: Path, *suffixes: str) -> dict[str, Path]:
        """As `listing`, by stem."""
        return {path.stem: path for path in self.listing(folder, *suffixes)}

    def named(self, *names: str) -> list[Path]:
        """Folders (the root included) with one of these names in any case."""
        wanted = {name.lower() for name in names}
        return [folder for folder in self.folders if folder.name.lower() in wanted]

    def called(self, *names: str) -> list[Path]:
        """Files with one of these names in any case, the highest first."""
        return sorted(
            (path for name in names for path in self._by_name.get(name.lower(), ())),
            key=lambda path: (len(path.parts), str(path)),
        )

    def inner(self, folder: Path, *names: str) -> Path | None:
        """The folder directly inside with the first of these names that is there, in any case."""
        found = {path.name.lower(): path for path in self._inner.get(folder, ())}
        return next((found[name.lower()] for name in names if name.lower() in found), None)

    def inside(self, folder: Path) -> list[Path]:
        """The folders directly inside, by name."""
        return self._inner.get(folder, [])

    def relative(self, path: Path) -> Path:
        """`path` below the root, by which nothing of the machine's own folders is seen."""
        return path.relative_to(self.root)

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for folder, names in self.folders.items():
            for name in names:
                found[name.lower()].append(folder / name)
        return found

    def _below(self, folder: Path) -> Iterator[Path]:
        if folder in self.folders:
            yield folder
            for inner in self._inner.get(folder, ()):
                yield from self._below(inner)

    def _list(self, folder: Path, above: frozenset[tuple[int, int]], depth: int) -> None:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            stat = folder.stat()
        except OSError as error:
            raise SourceError(f"{folder}: {error.strerror}; make it readable or leave it out") from error
        here = (stat.st_dev, stat.st_ino)
        if here in above or depth > MAX_DEPTH:  # a link back to a folder around it
            return
        names, inner = [], []
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _PASSED_OVER:
                continue
            if entry.is_symlink():
                self._note_link(Path(entry.path))
            if entry.is_dir():
                inner.append(folder / entry.name)
            elif entry.is_file():
                names.append(entry.name)
        self._count += len(names)
        if self._count > MAX_FILES:
            raise SourceError(f"{self.root}: more than {MAX_FILES:,} files; give the dataset's own folder")
        self.folders[folder] = tuple(names)
        for path in inner:
            self._list(path, above | {here}, depth + 1)
            if path in self.folders:
                self._inner[folder].append(path)

    def _note_link(self, path: Path) -> None:
        target = path.resolve()
        if not target.is_relative_to(self._real):
            self.outward[path] = target


def walk(root: Path) -> Iterator[Path]:
    """Every regular file below `root`, by path; hidden files and whatever links lead to are passed over."""
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and not path.is_symlink():
                yield path
