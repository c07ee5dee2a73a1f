"""What is there twice: an image that is listed twice, a folder that lies in itself again, label files of several images."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.scene import Notes, Scene, Source

HEAD = 1 << 16
"""Bytes by which files of one name and size are told apart, before they are read whole."""


def distinct_scenes(source: Source, notes: Notes) -> list[Scene]:
    """The scenes, what is there twice with the same labels once, stems made distinct in the order they are listed.

    Pictures of the same bytes that stay are of one group. Raises `SourceError` if there is no scene.
    """
    if not source.scenes:
        raise SourceError(f"{source.info.name}: no labelled image was found; check the folder that was given")
    seen: Counter[str] = Counter()
    scenes = []
    for scene in _once(source.scenes, notes):
        seen[scene.stem] += 1
        scenes.append(scene if seen[scene.stem] == 1 else replace(scene, stem=f"{scene.stem}-{seen[scene.stem]}"))
    _say_shared(scenes, notes)
    return scenes


def _once(scenes: list[Scene], notes: Notes) -> Iterator[Scene]:
    same = _same_bytes(scenes)
    met: set[tuple[object, ...]] = set()
    groups: dict[str, str] = {}
    for scene in scenes:
        digest = same.get(scene.image)
        own = (scene.image, repr(scene.labels))
        key = own if digest is None else (digest, scene.split, _contents(scene.labels))
        if own in met or key in met:
            what = "images listed twice" if own in met else "images that lie there twice, with the same labels"
            notes.remarks[f"{what}, taken once"] += 1
            continue
        if digest is not None and digest in groups:
            notes.remarks["images that lie there twice, with other labels or in another split"] += 1
        met |= {own, key}
        yield scene if digest is None else replace(scene, group=groups.setdefault(digest, scene.group))


def _same_bytes(scenes: list[Scene]) -> dict[Path, str]:
    """Image → digest, of such as have the name, the size and the bytes of another."""
    alike: dict[tuple[str, int], set[Path]] = defaultdict(set)
    for scene in scenes:
        alike[scene.image.name, _size(scene.image)].add(scene.image)
    found: dict[Path, str] = {}
    for paths in alike.values():
        for head in _by_digest(paths, HEAD).values():
            for digest, equal in _by_digest(head).items():
                found |= dict.fromkeys(equal, digest)
    return found


def _by_digest(paths: set[Path], length: int = -1) -> dict[str, set[Path]]:
    """Those that have a digest in common with another, of their first bytes or of all."""
    found: dict[str, set[Path]] = defaultdict(set)
    for path in paths if len(paths) > 1 else ():
        if (digest := _digest(path, length)) is not None:
            found[digest].add(path)
    return {digest: equal for digest, equal in found.items() if len(equal) > 1}


def _digest(path: Path, length: int = -1) -> str | None:
    """None for what cannot be read: that is told when its turn comes."""
    try:
        with path.open("rb") as file:
            if length < 0:
                return hashlib.file_digest(file, "sha256").hexdigest()
            return hashlib.sha256(file.read(length)).hexdigest()
    except OSError:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _contents(labels: Any) -> Any:
    """A reader's labels with the content of files in place of where they lie."""
    if isinstance(labels, Path):
        return _digest(labels)
    if isinstance(labels, tuple):
        return tuple(map(_contents, labels))
    return repr(labels)


def _say_shared(scenes: list[Scene], notes: Notes) -> None:
    """A remark on images that one label file, which should be one's, is read for: `a.jpg` and `a.png` with `a.txt`."""
    of: dict[str, set[Path]] = defaultdict(set)
    for scene in scenes:
        if isinstance(scene.labels, Path | tuple) and not scene.shared and _names_a_file(scene.labels):
            of[repr(scene.labels)].add(scene.image)
    notes.remarks["label files read for several images of one name"] += sum(len(images) > 1 for images in of.values())


def _names_a_file(labels: Any) -> bool:
    return isinstance(labels, Path) or (isinstance(labels, tuple) and any(map(_names_a_file, labels)))
