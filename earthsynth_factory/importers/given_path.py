"""What the user gave to `prepare`: a folder, an annotation file, or archives, as the tree of files to look in."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.archives import unpack
from earthsynth_factory.importers.scene import Notes
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import words
from earthsynth_factory.io.pictures import SUFFIXES

LABEL_SUFFIXES = words(
    """.json .jsonl .geojson .xml .txt .csv .yaml .yml .names .data .pkl .gpkg .shp .shx .dbf .prj .cpg .tfw .jgw .pgw
    .wld"""
)
"""Of an archive, what may hold or place labels is unpacked, beside images."""


def open_path(path: Path, workspace: Path, notes: Notes) -> Tree:
    """The tree to read. workspace: a folder of ours, for what is unpacked. Raises `SourceError` where there is nothing."""
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if path.is_dir():
        tree = Tree(path)
        archives = _archives(tree)
        if not archives or next(tree.images(), None) is not None:
            _say_links(tree, notes)
            return tree
        return _unpacked(archives, workspace, notes)
    if path.suffix.lower() == ".zip":
        return _unpacked({path.stem: [path]}, workspace, notes)
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


def _archives(tree: Tree) -> dict[str, list[Path]]:
    """Name → the zip's parts, of the zips at the top."""
    found: dict[str, list[Path]] = {}
    for name in tree.folders[tree.root]:
        if match := re.fullmatch(r"(.+)\.zip(_part_[a-z]+)?", name, re.IGNORECASE):
            found.setdefault(match[1], []).append(tree.root / name)
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


def _unpacked(archives: dict[str, list[Path]], workspace: Path, notes: Notes) -> Tree:
    for name, parts in archives.items():
        unpack(parts, workspace if len(archives) == 1 else workspace / name, _wanted, notes)
    return Tree(workspace)


def _wanted(path: PurePosixPath) -> bool:
    return path.suffix.lower() in (*SUFFIXES, *LABEL_SUFFIXES)


def _say_links(tree: Tree, notes: Notes) -> None:
    if tree.outward:
        link, target = next(iter(tree.outward.items()))
        notes.remarks[f"links that lead out of the folder, followed (the first: {link.name} → {target.parent})"] += len(
            tree.outward
        )
