"""What the user gave to `prepare`: a folder, an annotation file, or archives, as the tree of files to look in."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.archives import unpack
from earthsynth_factory.importers.scene import Notes
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import words
from earthsynth_factory.io.atomic import put_file
from earthsynth_factory.io.pictures import SUFFIXES

LABEL_SUFFIXES = words(
    """.json .jsonl .geojson .xml .txt .csv .yaml .yml .names .data .pkl .gpkg .fgb .shp .shx .dbf .prj .cpg .tfw .jgw .pgw
    .wld"""
)
"""Of an archive, what may hold or place labels is unpacked, beside images."""


def open_path(path: Path, workspace: Path, notes: Notes) -> Tree:
    """The tree to read. workspace: a folder of ours, for what is unpacked. Raises `SourceError` if there is nothing."""
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if path.is_dir():
        tree = Tree(path)
        _say_links(tree, notes)
        if next(tree.images(), None) is None and (archives := _archives(tree)):
            return _unpacked(tree, archives, workspace, notes)
        return tree
    if path.suffix.lower() == ".zip":
        unpack([path], workspace, _wanted, notes)
        return Tree(workspace)
    if path.suffix.lower() not in LABEL_SUFFIXES:
        raise SourceError(f"{path}: neither a folder, an annotation file nor a zip; unpack it and give the folder")
    root = _around(path)
    tree = Tree(root, path if path.is_relative_to(root) else path.resolve())
    _say_links(tree, notes)
    return tree


def name_of(path: Path) -> str:
    """What a dataset is called by the path that was given."""
    return path.resolve().name if path.is_dir() else path.stem


def _around(path: Path) -> Path:
    """The folder of an annotation file's images: its own, or the one around it if the file's holds no image."""
    home = path.parent if path.parent.name not in ("", ".", "..") else path.parent.resolve()
    beside = any(one.suffix.lower() in SUFFIXES for one in home.iterdir() if one.is_file())
    return home if beside or any(one.is_dir() for one in home.iterdir()) else home.parent


def _archives(tree: Tree) -> dict[Path, list[Path]]:
    """Where each zip of the tree is unpacked, below the root → its parts."""
    found: dict[Path, list[Path]] = {}
    for path in tree.files():
        if match := re.fullmatch(r"(.+)\.zip(_part_[a-z]+)?", path.name, re.IGNORECASE):
            found.setdefault(tree.relative(path.with_name(match[1])), []).append(path)
    for parts in found.values():
        _check_sequence(parts)
    return found


def _check_sequence(parts: list[Path]) -> None:
    """`split` names its parts aa, ab, …: a gap means that one was not fetched."""
    names = [part.name.rpartition("_")[2] for part in parts if "_part_" in part.name]
    for number, name in enumerate(names):
        wanted = chr(ord("a") + number // 26) + chr(ord("a") + number % 26)
        if name != wanted:
            first = parts[0].name.rpartition("_")[0]
            raise SourceError(f"{parts[0].parent}: {first}_{wanted} is missing; fetch every part")


def _unpacked(tree: Tree, archives: dict[Path, list[Path]], workspace: Path, notes: Notes) -> Tree:
    """Every archive where it lies in the tree, and the label files that lie loose."""
    alone = len(archives) == 1
    for place, parts in archives.items():
        unpack(parts, workspace if alone and len(place.parts) == 1 else workspace / place, _wanted, notes)
    for file in tree.files(*LABEL_SUFFIXES):
        put_file(file, workspace / tree.relative(file), link=True)
    return Tree(workspace)


def _wanted(path: PurePosixPath) -> bool:
    return path.suffix.lower() in (*SUFFIXES, *LABEL_SUFFIXES)


def _say_links(tree: Tree, notes: Notes) -> None:
    if tree.outward:
        link, target = next(iter(tree.outward.items()))
        notes.remarks[f"links that lead out of the folder, followed (the first: {link.name} → {target.parent})"] += len(
            tree.outward
        )
