"""What the names of a layout say: which split a folder is, which pictures belong together, what stem an item gets."""

from __future__ import annotations

import re
from pathlib import Path


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_SPLITS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
}

_LAYOUT = words(
    """images image img imgs input pics jpegimages labels label lbl masks mask msk targets annotations annotation annots anno
    ann anns gt gts groundtruth instances instance person keypoints captions panoptic stuff semantic coco json odvg od vg bbox
    bboxes boxes segm hbb obb lvis labeltxt annfiles set sets data dataset split list tiff png jpg"""
)
"""Words that may stand beside a split's in one name: `train_images`, `instances_val2017`. Others make it a name of its own:
`Val-de-Marne`, `train station`.
"""

_ROLE_FOLDERS = words(
    "images image img imgs jpegimages img_dir input data set dataset obj_train_data jpegs pictures photos"
)
_COPIES = re.compile(r"\.rf\.[0-9A-Za-z]{8,}$")
"""How an annotation service ends the names of its augmented copies of one picture."""


def split_word(name: str) -> str | None:
    """The split that one name means: the split's word, with nothing beside it but words of layouts, years and versions.

    >>> split_word("train2017"), split_word("instances_val"), split_word("Val-de-Marne"), split_word("my_test_flight")
    ('train', 'val', None, None)
    """
    tokens = [
        token
        for token in re.split(r"[^a-z]+", re.sub(r"\bv\d+(\.\d+)?\b", " ", name.lower().replace("_", " ")))
        if token
    ]
    found = [_SPLITS[token] for token in tokens if token in _SPLITS]
    others = [token for token in tokens if token not in _SPLITS]
    return found[0] if len(found) == 1 and all(token in _LAYOUT for token in others) else None


def split_of(path: Path, root: Path) -> str | None:
    """The split that a folder below `root` and around `path` is named for, the innermost first. Files' names say nothing."""
    for part in reversed(path.relative_to(root).parts[:-1]):
        if (word := split_word(part)) is not None:
            return word
    return None


def group_of(image: Path, root: Path) -> str:
    """What no split may divide: the picture, as it is called below `root`; its augmented copies are one.

    >>> group_of(Path("in/train/images/7.png"), Path("in")), group_of(Path("in/a_jpg.rf.0123456789ab.jpg"), Path("in"))
    ('train/7', 'a_jpg')
    """
    if _COPIES.search(image.stem):
        return _COPIES.sub("", image.stem)
    folders = [part for part in image.relative_to(root).parts[:-1] if part.lower() not in _ROLE_FOLDERS]
    return "/".join([*folders, image.stem])


def safe_stem(text: str) -> str:
    """A file stem without anything that a file system or shell minds.

    >>> safe_stem("a b/../c")
    'a-b-..-c'
    """
    return re.sub(r"[^\w.\-]+", "-", text).strip(".-")[:150] or "image"


def prefixed(prefix: str, stem: str) -> str:
    """The stem with the dataset's prefix, once.

    >>> prefixed("LD_", "3"), prefixed("LD_", "LD_3")
    ('LD_3', 'LD_3')
    """
    return stem if stem.startswith(prefix) else prefix + stem
