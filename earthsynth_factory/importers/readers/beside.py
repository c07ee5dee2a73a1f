"""Masks in a folder beside that of their images, under the same stems: how many dense datasets are published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from earthsynth_factory.importers.scene import Evidence, ReadRequest, Strength
from earthsynth_factory.importers.tree import Tree


def masks_evidence(tree: Tree, masks: str, images: str) -> Evidence | None:
    """The first folder of masks that has one of images beside it. masks, images: names of the folders."""
    found = next((folder for folder in tree.named(masks) if tree.inner(folder.parent, images)), None)
    return Evidence(Strength.OWN, f"{tree.relative(found)} beside {images}") if found else None


def masks_and_images(request: ReadRequest, masks: str, images: str) -> Iterator[tuple[Path, Path]]:
    """Mask and image, folder by folder; a mask without an image is noted as a fault."""
    tree = request.tree
    for folder in tree.named(masks):
        beside = tree.inner(folder.parent, images)
        known = tree.by_stem(beside) if beside else {}
        for mask in tree.listing(folder):
            if mask.stem in known:
                yield mask, known[mask.stem]
            else:
                request.notes.fault(mask, "its image is missing")
