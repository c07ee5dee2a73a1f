"""Which label image is of which image, in whatever way published sets lay them out: one rule, by the words of names.

A file is a label image if a folder on its way, or its own name at either end, says so (`masks`, `gt`, `…_label`, `MSK_…`). An
image and a label image belong together if their paths are equal without such words; else if their own names are, and no
others have that name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from earthsynth_factory.importers.finder import folded
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import split_of, words

_LABEL = words(
    """mask masks msk msks label labels lbl lbls gt gts groundtruth target targets ann anno annotation annotations seg segs
    segmentation segmentations segmentationclass segmentationclasspng segmentationclassraw semantic semlabels semseg
    labeltrainids labelids gtfine urbanatlas"""
)
_IMAGE = words(
    """image images img imgs input inputs rgb rgbs rgbir irrg rgbi top ortho orthos orthophoto aerial sat satellite picture
    pictures photo photos src source jpegimages tr leftimg8bit pan"""
)
_FILLERS = words("dir all for participants noboundary instance color colour id ids raw")
"""Words that only stand beside others in the names of such folders and files."""

_NEUTRAL = words("dataset data set")
"""A folder called `semantic segmentation dataset` says nothing of the files in it."""

_NUMBERED_LABEL = re.compile(r"\d+(labels?|masks?)$")
_JOINED = re.compile(r"\b(image|img|mask|msk|label|lbl|gt|target|seg)(?=\d+\b)")
_OTHER_LABELS = ("segmentationobject", "instance_masks", "instance_id_rgb", "instanceids")
"""Label images of objects, not of classes."""


Key = tuple[str, ...]


@dataclass(slots=True)
class Pairing:
    """pairs: image → label image. alone: images without one, in folders where others have one. orphans: the reverse.
    before: images of the state before a change, whose label images show the change.
    """

    pairs: dict[Path, Path] = field(default_factory=dict)
    alone: list[Path] = field(default_factory=list)
    orphans: list[Path] = field(default_factory=list)
    before: list[Path] = field(default_factory=list)


def pair_masks(tree: Tree) -> Pairing:
    """Every pair below the root."""
    images: list[Path] = []
    masks: list[Path] = []
    for path in tree.images():
        relative = tree.relative(path)
        if is_label(relative):
            if not any(word in str(relative).lower() for word in _OTHER_LABELS):
                masks.append(path)
        else:
            images.append(path)
    found = Pairing()
    images = _after_a_change(tree, images, found)
    for key_of in (_path_key, _stem_key):
        used = set(found.pairs.values())
        keyed = _keyed(tree, (mask for mask in masks if mask not in used), key_of)
        for key, candidates in _keyed(tree, (image for image in images if image not in found.pairs), key_of).items():
            _match(tree, candidates, keyed.get(key, []), found)
    _longer_names(tree, images, masks, found)
    used, homes = set(found.pairs.values()), {image.parent for image in found.pairs}
    found.alone = [image for image in images if image not in found.pairs and image.parent in homes]
    found.orphans = [mask for mask in masks if mask not in used]
    found.pairs = {image: found.pairs[image] for image in images if image in found.pairs}
    return found


def is_label(relative: Path) -> bool:
    """Whether a path below the root is called as label images are: by its own name's ends, else by the nearest folder."""
    stem = [token for token in _tokens(relative.stem) if token not in _FILLERS and token not in _IMAGE]
    if any(token in _LABEL or _NUMBERED_LABEL.fullmatch(token) for token in (*stem[:1], *stem[-1:])):
        return True
    for part in reversed(relative.parts[:-1]):
        tokens = set(_tokens(part))
        if tokens & _LABEL and not tokens & _NEUTRAL:
            return True
        if tokens & _IMAGE:
            return False
    return False


def _after_a_change(tree: Tree, images: list[Path], found: Pairing) -> list[Path]:
    """The images without those in a folder A beside a folder B of the same names, as sets of changes lie."""
    kept = []
    for image in images:
        later = tree.inner(image.parent.parent, "B") if image.parent.name.upper() == "A" else None
        if later is not None and later / image.name in set(tree.listing(later)):
            found.before.append(image)
        else:
            kept.append(image)
    return kept


def _longer_names(tree: Tree, images: list[Path], masks: list[Path], found: Pairing) -> None:
    """What is left, by the image's whole name at the beginning of the label image's: `67-2012.tif`, `67-2012_UA.tif`."""
    taken = set(found.pairs.values())
    keyed = _keyed(tree, (image for image in images if image not in found.pairs), _stem_key)
    left = {key: those[0] for key, those in keyed.items() if len(those) == 1}
    for mask in masks:
        key = _stem_key(tree.relative(mask))
        fits = [left[key[:end]] for end in range(len(key), 0, -1) if key[:end] in left]
        if mask not in taken and fits and fits[0] not in found.pairs and not _in_two_splits(fits[0], mask, tree):
            found.pairs[fits[0]] = mask


def _keyed(tree: Tree, paths: Iterable[Path], key_of: Callable[[Path], Key]) -> dict[Key, list[Path]]:
    found: dict[Key, list[Path]] = defaultdict(list)
    for path in paths:
        found[key_of(tree.relative(path))].append(path)
    return found


def _match(tree: Tree, images: list[Path], masks: list[Path], found: Pairing) -> None:
    """Those of one key: one of each, or such as share their names to the letter. What lies in two splits is no pair."""
    if len(images) == 1 and len(masks) == 1:
        if _in_two_splits(images[0], masks[0], tree):
            return
        found.pairs[images[0]] = masks[0]
    elif masks:
        _by_stem(tree, images, masks, found)


def _by_stem(tree: Tree, images: list[Path], masks: list[Path], found: Pairing) -> None:
    for image in images:
        near = [mask for mask in masks if not _in_two_splits(image, mask, tree)]
        letter = [mask for mask in near if mask.stem == image.stem]
        exact = letter or [mask for mask in near if folded(mask.stem) == folded(image.stem)]
        starts = [mask for mask in near if folded(mask.stem).startswith(folded(image.stem) + "_")]
        best = exact or starts
        if len(best) == 1:
            found.pairs[image] = best[0]


def _in_two_splits(image: Path, mask: Path, tree: Tree) -> bool:
    splits = {split_of(path, tree.root) for path in (image, mask)} - {None}
    return len(splits) > 1


def _path_key(relative: Path) -> Key:
    tokens = [token for part in relative.parts[:-1] for token in _kept(_tokens(part))]
    return (*tokens, "/", *_stem_key(relative))


def _stem_key(relative: Path) -> Key:
    tokens = _tokens(relative.stem)
    return tuple(_kept(tokens)) or tuple(tokens)


def _kept(tokens: list[str]) -> list[str]:
    said = [t for t in tokens if t in _LABEL or t in _IMAGE or _NUMBERED_LABEL.fullmatch(t)]
    return [t for t in tokens if t not in said and not (said and t in _FILLERS)]


def _tokens(name: str) -> list[str]:
    """Words and numbers of a name, in lower case; `img12` is two, `imageA1` one."""
    spaced = _JOINED.sub(r"\1 ", re.sub(r"ground[ _-]?truth", "groundtruth", folded(name)).replace("_", " "))
    return [token for token in re.split(r"[\W_]+", spaced) if token]
