"""Small folders in EarthSynth's layout: flat colours, so that every pixel tells which scene it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png

ROAD, WATER, BUILDING, TANK = 4, 6, 8, 25


def scene(number: int, size: int = 32) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Image and mask number n: land cover in a band at the top, an object at a place of its own; one in four has a tank."""
    random = np.random.default_rng(number)
    cover, thing = (ROAD, WATER)[number % 2], TANK if number % 4 == 0 else BUILDING
    mask = np.zeros((size, size), np.uint8)
    mask[: size // 4] = cover
    top, left = size // 4 + random.integers(0, size // 4), random.integers(0, size // 2)
    mask[top : top + size // 4, left : left + size // 4] = thing
    image = np.zeros((size, size, 3), np.uint8)
    image[..., 0] = 10 + 20 * (number % 12)
    image[..., 1] = mask * 5
    image[..., 2] = 255 - 20 * (number % 12)
    return image, mask


def text_of(mask: npt.NDArray[np.uint8]) -> str:
    names = [earthsynth()[int(i)].words for i in np.unique(mask) if i]
    return f"A satellite image of {', '.join(names)}"


def write_layout(root: Path, count: int = 8, size: int = 32, singles: bool = True, about: bool = False) -> Path:
    """`count` whole samples and, with `singles`, one single-category sample for each object; two sources by stem."""
    lines = []
    for number in range(count):
        image, mask = scene(number, size)
        stem = f"{('AA', 'BB')[number // 2 % 2]}_{number}_0"
        write_bytes(root / f"images/{stem}.png", encode_png(image))
        write_bytes(root / f"masks/{stem}.png", encode_png(mask))
        own = []
        if singles:
            thing = max(np.unique(mask).tolist())
            name = f"{stem}_{earthsynth()[thing].name.replace(' ', '_')}.png"
            single = np.where(mask == thing, mask, 0).astype(np.uint8)
            write_bytes(root / f"category_images/{name}", encode_png(image))
            write_bytes(root / f"category_masks/{name}", encode_png(single))
            own = [f"category_masks/{name}"]
            lines.append({"file_name": f"category_images/{name}", "mask_name": own[0], "text": text_of(single)})
        whole = {"file_name": f"images/{stem}.png", "mask_name": f"masks/{stem}.png", "text": text_of(mask)}
        lines.append({**whole, "category_masks": own})
    (root / "train.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    if about:
        write_about(root, count)
    return root


def write_about(root: Path, count: int, classes: dict[int, str] | None = None) -> None:
    stems = sorted(path.stem for path in (root / "masks").iterdir())
    items = {
        stem: {"group": f"g{n}", "split": "val" if n == count - 1 else "train", "metres_per_pixel": 0.5}
        for n, stem in enumerate(stems)
    }
    names = classes or {i: earthsynth()[i].name for i in (ROAD, WATER, BUILDING, TANK)}
    document = {
        "format": "earthsynth-factory/dataset", "version": 1, "name": "made", "licence": "CC0",
        "classes": {str(i): name for i, name in names.items()}, "items": items,
    }  # fmt: skip
    (root / "dataset.json").write_text(json.dumps(document))
