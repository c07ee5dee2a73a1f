"""Finds the images that annotation files name, however that was written: in another case, with `\\` or `%20`, as an URL, as a
path of another disk, with another form of an accent or another suffix.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import split_of

MAX_NAME = 4096
"""Longest name that is looked for."""

Key = tuple[str, ...]
"""The parts of a path from its end, in one case and one form of accents."""


class ImageFinder:
    """Images below a tree's root by the end of their path; among equals the folder that holds most of what is listed."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._holds: Counter[Path] = Counter()
        self._sizes: Counter[Path] = Counter()
        for path in tree.images():
            name = folded(unquote(path.name))
            self._by_name[name].append(path)
            self._by_stem[name.rpartition(".")[0]].append(path)
            self._sizes[path.parent] += 1
        self._splits = {split_of(folder / "image", tree.root) for folder in self._sizes}

    def expect(self, names: Iterable[str]) -> None:
        """Take note of names that one file lists, so that a name which several folders have can be told by the others."""
        self._holds.clear()
        for name in names:
            key = key_of(name)
            for path in self._by_name.get(key[0], ()) if key else ():
                self._holds[path.parent] += 1

    def find(self, name: str, near: Path | None = None, split: str | None = None) -> Path | None:
        """The image called `name`; near: the annotation file's folder, split: what it is of.

        None if there is none, or several are as likely. A split that has its own images has none of another's, unless the
        name says the folder.
        """
        key = key_of(name)
        if not key:
            return None
        named = self._by_name.get(key[0], [])
        if near is not None and near / name in named:
            return near / name
        found = named or self._by_stem.get(key[0].rpartition(".")[0]) or self._by_stem.get(key[0], [])
        found = [path for path in found if self._may_be(path, key, split)]
        for rule in (
            lambda path: _common(key_of(str(self._tree.relative(path))), key),
            lambda path: _spelt_alike(path, name),
            lambda path: split is not None and split_of(path, self._tree.root) == split,
            lambda path: self._holds[path.parent],
            lambda path: -self._sizes[path.parent] if self._holds[path.parent] else 0,
            lambda path: near is not None and path.is_relative_to(near),
        ):
            if len(found) > 1:
                best = max(map(rule, found))
                found = [path for path in found if rule(path) == best]
        return found[0] if len(found) == 1 else None

    def _may_be(self, path: Path, key: Key, split: str | None) -> bool:
        relative = self._tree.relative(path)
        if split is None or split not in self._splits or split_of(relative, Path()) in (None, split):
            return True
        named = _common(key_of(str(relative)), key)
        return split_of(Path(*relative.parts[len(relative.parts) - named :]), Path()) is not None


def folded(text: str) -> str:
    """One spelling for names that only differ in case or in how accents are composed."""
    return unicodedata.normalize("NFC", text).casefold()


def key_of(name: str) -> Key:
    """The parts of a path or URL as it was written, the last first; empty if it names nothing."""
    if len(name) > MAX_NAME:
        return ()
    text = name.replace("\\", "/")
    if "://" in text:
        text = urlsplit(text).path
    if "?d=" in text:  # a labelling tool's link to a file of its server
        text = text.partition("?d=")[2]
    parts = [folded(unquote(part)) for part in text.split("/") if part not in ("", ".", "..")]
    return tuple(reversed(parts))


def _spelt_alike(path: Path, name: str) -> int:
    """How far a path ends as a name does, to the letter: 2 with its suffix, 1 without."""
    last = unquote(name.replace("\\", "/").rpartition("/")[2])
    return (path.name == last) + (path.stem in (last, last.rpartition(".")[0]))


def _common(ours: Key, theirs: Key) -> int:
    count = 0
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            break
        count += 1
    return count
