"""Looking through folders and small text files of strangers: bounded, sorted, never out of the folder given."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.pictures import SUFFIXES

MAX_JSON_BYTES = 4 << 30
MAX_TEXT_BYTES = 1 << 26
"""Largest annotation files that are read, in bytes."""

_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def walk(root: Path) -> Iterator[Path]:
    """Every regular file below `root`, by path; hidden files and whatever links lead to are passed over."""
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and not path.is_symlink():
                yield path


def folders_named(root: Path, *names: str) -> list[Path]:
    """Folders below `root` (itself included) with one of these names in any case, at most five levels down."""
    wanted = {name.lower() for name in names}
    found = []
    for folder, inner, _ in os.walk(root, followlinks=False):
        here = Path(folder)
        if here.name.lower() in wanted:
            found.append(here)
        depth = len(here.relative_to(root).parts)
        inner[:] = sorted(name for name in inner if not name.startswith(".")) if depth < 5 else []
    return found


def listing(folder: Path, *suffixes: str) -> list[Path]:
    """The regular files of one folder with these suffixes (default: images), by name. Empty where it is no folder."""
    if not folder.is_dir():
        return []
    wanted = suffixes or SUFFIXES
    paths = (folder / entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))
    return sorted(path for path in paths if path.suffix.lower() in wanted and not path.name.startswith("."))


def by_stem(folder: Path, *suffixes: str) -> dict[str, Path]:
    """As `listing`, by stem."""
    return {path.stem: path for path in listing(folder, *suffixes)}


def split_of(path: Path, root: Path) -> str | None:
    """The split that a folder between `root` and `path` is named for, the innermost first."""
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        parts = path.parts
    for part in reversed((root.name, *parts)):
        for word in (part.lower(), *re.split(r"[^a-z]+", part.lower())):
            if word in _SPLITS:
                return _SPLITS[word]
    return None


def prefixed(prefix: str, stem: str) -> str:
    """The stem with its dataset's prefix, once: what was exported and is read again does not grow."""
    return stem if stem.startswith(prefix) else prefix + stem


def safe_stem(text: str) -> str:
    """A file stem without anything that a file system or shell minds.

    >>> safe_stem("a b/../c")
    'a-b-..-c'
    """
    return re.sub(r"[^\w.\-]+", "-", text).strip(".-") or "image"


def read_json(path: Path) -> Any:
    """Raises `SourceError` naming the file: missing, too large, or malformed (with the place)."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise SourceError(f"{path}: larger than {MAX_JSON_BYTES} bytes; split the annotations")
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{path}:{error.lineno}:{error.colno}: malformed JSON ({error.msg})") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a small text file; undecodable bytes become U+FFFD. Raises `SourceError`: missing or too large."""
    return _read(path).decode("utf-8", "replace").splitlines()


def read_xml(path: Path) -> ElementTree.Element:
    """The root element. Raises `SourceError`: missing, too large, malformed (with the line), or with entities."""
    data = _read(path)
    if b"<!ENTITY" in data or b"<!DOCTYPE" in data:
        raise SourceError(f"{path}: declares entities, which no annotation needs; refused")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise SourceError(f"{path}:{error.position[0]}: malformed XML ({error})") from error


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise SourceError(f"{path}: larger than {MAX_TEXT_BYTES} bytes; no annotation of one image is")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error


class ImageFinder:
    """Finds the images that annotation files name, below one root, by path or else by name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, name: str, near: Path, split: str | None = None) -> Path | None:
        """The image called `name`; near: the annotation file's folder, split: what it is of, which decides among equals.

        None where there is none, or several are as likely.
        """
        relative = Path(name)
        if relative.is_absolute() or ".." in relative.parts or not relative.name:
            relative = Path(relative.name or "image")
        for folder in (near, near / "images", self._root, self._root / "images"):
            if (folder / relative).is_file() and (folder / relative).resolve().is_relative_to(self._root.resolve()):
                return folder / relative
        return self._by_suffix(relative, split)

    def _by_suffix(self, relative: Path, split: str | None) -> Path | None:
        """Among files of that name the one whose path agrees longest with the name as written."""
        if self._by_name is None:
            self._by_name = {}
            for path in walk(self._root):
                if path.suffix.lower() in SUFFIXES:
                    self._by_name.setdefault(path.name, []).append(path)
        scored = [(_common(path, relative), path) for path in self._by_name.get(relative.name, [])]
        best = [path for score, path in scored if score == max(found for found, _ in scored)]
        if len(best) > 1:
            best = [path for path in best if split_of(path, self._root) == split]
        return best[0] if len(best) == 1 else None


def _common(path: Path, relative: Path) -> int:
    count = 0
    for ours, theirs in zip(reversed(path.parts), reversed(relative.parts), strict=False):
        if ours != theirs:
            break
        count += 1
    return count
