"""Contact sheets: a page of samples, each as image, mask and overlay, so that a person can see what was made."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.io.provenance import joint_source, marked, source_type_of

GAP = 6
CAPTION = 14
"""Pixels between tiles, and height of the caption under each."""

OVERLAY = 0.45
"""Share of the class colour in an overlay."""


def color_mask(mask: Mask, taxonomy: Taxonomy) -> Image:
    """The mask (H, W) in the taxonomy's colours, (H, W, 3)."""
    palette = np.array(taxonomy.palette(), np.uint8).reshape(256, 3)
    return palette[mask]


def overlay(image: Image, mask: Mask, instances: InstanceMap, taxonomy: Taxonomy) -> Image:
    """The image (H, W, 3) with classes tinted and every instance outlined in white."""
    colors = color_mask(mask, taxonomy).astype(np.float32)
    inside = (mask > 0)[..., None]
    mixed = np.where(inside, (1 - OVERLAY) * image + OVERLAY * colors, image).astype(np.uint8)
    mixed[outlines(instances)] = 255
    return mixed


def outlines(instances: InstanceMap) -> npt.NDArray[np.bool_]:
    """(H, W) where a pixel's right or lower neighbour belongs to another instance."""
    edge = np.zeros(instances.shape, bool)
    edge[:, :-1] |= instances[:, :-1] != instances[:, 1:]
    edge[:-1] |= instances[:-1] != instances[1:]
    return edge


def contact_sheet(store: LabelledDataset, records: Iterable[SampleRecord], columns: int = 4, side: int = 192) -> bytes:
    """PNG with a tile for each record: image, mask and overlay side by side, each `side` pixels wide, and a caption."""
    records = list(records)
    tiles = [_tile(store, record, side) for record in records]
    return to_png(grid(tiles, columns), source_of_all(store, records))


def grid(tiles: Sequence[Image], columns: int) -> Image:
    """Tiles (H, W, 3) of one size in rows of `columns`, on white."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    columns = min(columns, len(tiles))
    page = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = GAP + number // columns * (height + GAP), GAP + number % columns * (width + GAP)
        page[top : top + height, left : left + width] = tile
    return page


def to_png(page: Image, source: str | None = None) -> bytes:
    """The page (H, W, 3) as PNG bytes. source: how the pictures on it came to be, a term of `io.provenance`."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(page).save(buffer, "PNG")
    return marked(buffer.getvalue(), source)


def source_of_all(store: LabelledDataset, records: Iterable[SampleRecord]) -> str | None:
    """What a page of these images says of how they came to be."""
    return joint_source(source_type_of(store.image_file(record)) for record in records)


def spread(records: Sequence[SampleRecord], count: int) -> list[SampleRecord]:
    """Up to `count` records that show every class in turn: the target category's, or if there is none those present."""
    by_category: dict[int | None, list[SampleRecord]] = {}
    for record in records:
        wanted: Sequence[int | None] = record.classes if record.category is None else [record.category]
        for category in wanted or [None]:
            by_category.setdefault(category, []).append(record)
    chosen: dict[int, SampleRecord] = {}
    while len(chosen) < count and any(by_category.values()):
        for waiting in by_category.values():
            if waiting and len(chosen) < count:
                record = waiting.pop(0)
                chosen[record.slot] = record
    return sorted(chosen.values(), key=lambda record: (record.category or 0, record.slot))


def _tile(store: LabelledDataset, record: SampleRecord, side: int) -> Image:
    image, mask = store.image(record), store.mask(record)
    views = [
        image,
        color_mask(mask, store.taxonomy),
        overlay(image, mask, store.instances(record), store.taxonomy),
    ]
    wanted = [record.category] if record.category is not None else record.classes
    name = ", ".join(store.taxonomy[category].name for category in wanted) or "nothing"
    scale = f"{record.metres_per_pixel:.2f} m" if record.metres_per_pixel else "scale unknown"
    return captioned(views, f"{record.stem} {name}, {scale}", side)


def captioned(views: Sequence[Image], text: str, side: int) -> Image:
    """Views (H, W, 3) side by side, each `side` pixels wide, with a text below."""
    row = np.concatenate([_square(view, side) for view in views], axis=1)
    return np.concatenate([row, _caption(text, row.shape[1])])


def _square(view: Image, side: int) -> Image:
    """A view (H, W, 3) fitted into `side` × `side` pixels, white around it."""
    factor = side / max(view.shape[:2])
    size = (max(1, round(view.shape[1] * factor)), max(1, round(view.shape[0] * factor)))
    page = np.full((side, side, 3), 255, np.uint8)
    page[: size[1], : size[0]] = cv2.resize(view, size, interpolation=cv2.INTER_NEAREST)
    return page


def _caption(text: str, width: int) -> Image:
    strip = PIL.Image.new("RGB", (width, CAPTION), "white")
    PIL.ImageDraw.Draw(strip).text((2, 1), text, fill="black")
    return np.asarray(strip, np.uint8)
