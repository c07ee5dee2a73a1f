"""The gate that paths pass which come from data: a name is one plain part, and no link leads into or out of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from earthsynth_factory.errors import SourceError, StoreError

MAX_NAME = 200
"""Longest name in bytes that an item, a split or an image may have: file systems take 255, and names get endings."""


def is_plain(name: str) -> bool:
    """Whether the name is one part of a path on every system: no folder, no drive, no `..`, nothing unprintable.

    >>> is_plain("scene 1.png"), is_plain("../x"), is_plain("C:x"), is_plain(".."), is_plain("a\\n")
    (True, False, False, False, False)
    """
    parts = (PurePosixPath(name).name, PureWindowsPath(name).name)
    return parts == (name, name) and name not in ("", ".", "..") and name.isprintable() and _short(name)


def plain_name(name: str) -> str:
    """The name itself. Raises ValueError if it is not plain."""
    if not is_plain(name):
        raise ValueError(
            f"{name[:80]!r} is no plain name: letters, digits and marks, no folder, {MAX_NAME} bytes at most"
        )
    return name


def _short(name: str) -> bool:
    try:
        return len(name.encode()) <= MAX_NAME
    except UnicodeEncodeError:
        return False


def read_below(path: Path, root: Path) -> Path:
    """`path`, a regular file that lies in `root` wherever links lead. Raises SourceError naming it otherwise."""
    try:
        if not path.is_file():
            raise SourceError(f"{path}: missing or no regular file; the dataset is incomplete")
        if not _plainly_below(path, root) and not path.resolve().is_relative_to(root.resolve()):
            raise SourceError(f"{path}: a link that leads out of {root}; copy the file in, for links are not followed")
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"{path}: cannot be looked at ({error})") from error
    return path


def write_below(path: Path, root: Path) -> Path:
    """`path`, with no link between `root` and it. Raises StoreError naming the link: writing would follow it."""
    for link in _links(path, root):
        raise StoreError(f"{link}: is a link, and nothing is written through links in {root}; remove it")
    return path


def _plainly_below(path: Path, root: Path) -> bool:
    """Whether the path is spelt as one in `root` and no part behind that is a link, which spares resolving both."""
    return path.is_relative_to(root) and ".." not in path.parts and not any(_links(path, root))


def _links(path: Path, root: Path) -> Iterator[Path]:
    """The path and the folders of it below `root`, as far as they are links."""
    for part in (path, *path.parents):
        if part == root:
            return
        if part.is_symlink():
            yield part
