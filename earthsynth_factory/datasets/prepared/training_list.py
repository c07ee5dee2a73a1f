"""EarthSynth's training layout: names of its files and the lines of its `train.jsonl`, the same for every writer.

    images/<image>  masks/<stem>.png
    category_images/<stem>_<category>.<suffix>  category_masks/<stem>_<category>.png
    train.jsonl

Keys and folders are those of EarthSynth's public repository. Paths are relative to the folder that holds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from earthsynth_factory.domain.taxonomy import EARTHSYNTH_TEMPLATE, Taxonomy


def whole_image(name: str) -> str:
    """The image of a line with all its categories; name: with its suffix."""
    return f"images/{name}"


def whole_mask(stem: str) -> str:
    """Its mask."""
    return f"masks/{stem}.png"


def category_image(stem: str, category: str, suffix: str = ".png") -> str:
    """The image of a single-category line."""
    return f"category_images/{stem}_{_word(category)}{suffix}"


def category_mask(stem: str, category: str) -> str:
    """The mask of a single-category line: that category's id, else 0."""
    return f"category_masks/{stem}_{_word(category)}.png"


def training_lines(
    stem: str, image_name: str, categories: Iterable[int], taxonomy: Taxonomy, augmented: bool
) -> list[dict[str, Any]]:
    """The lines of train.jsonl for one image: the whole one, then with augmentation one for each category.

    categories: ids present, ascending, without background; none gives no line, as in EarthSynth's own list.
    """
    names = [taxonomy[category].name for category in categories]
    if not names:
        return []
    suffix = Path(image_name).suffix
    singles = [
        {
            "file_name": category_image(stem, name, suffix),
            "mask_name": category_mask(stem, name),
            "text": EARTHSYNTH_TEMPLATE.format(classes=name),
        }
        for name in (names if augmented else [])
    ]
    whole = {
        "file_name": whole_image(image_name),
        "mask_name": whole_mask(stem),
        "text": EARTHSYNTH_TEMPLATE.format(classes=", ".join(names)),
        "category_masks": [single["mask_name"] for single in singles],
    }
    return [whole, *singles]


def _word(category: str) -> str:
    """The name as part of a file name; a slash in it must not lead into another folder."""
    return re.sub(r"[\s/\\]", "_", category)
