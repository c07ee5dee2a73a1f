"""KIT AIS vehicles: three aerial sequences over Stuttgart and Munich, with YOLO boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.base import DatasetInfo, DatasetWriter, ImportSummary, Item, Split, files, read_image

METRES_PER_PIXEL = 0.15
"""Our estimate: a car of 4.5 m is about 30 pixels long."""

# Vans and minibuses count as small, buses as large, as in DOTA's two vehicle classes. Cyclists have no category.
_NAMES: dict[str, str | None] = {
    "car": "small vehicle",
    "truck": "large vehicle",
    "bus": "large vehicle",
    "minibus": "small vehicle",
    "cyclist": None,
}


@dataclass(frozen=True, slots=True)
class _Box:
    """A labelled rectangle, pixels, right and bottom exclusive."""

    word: str
    left: int
    top: int
    right: int
    bottom: int


class KitAis:
    """Reads `<frame>.jpg` + `<frame>.txt`. A box becomes the ellipse inside it: nearer to a turned car than the box is.

    Frames of one sequence show one place a moment apart, so the whole sequence is a group.
    """

    name = "kit_ais"
    info = DatasetInfo(
        name="KIT AIS vehicles",
        source="KIT AIS Data Set, image sequences with YOLO boxes",
        licence="CC BY 3.0",
        credit="Karlsruhe Institute of Technology (KIT), German Aerospace Center (DLR)",
        dense=False,
    )

    def run(self, source: Path, target: Path) -> ImportSummary:
        """Raises `SourceError` on a box line that cannot be read."""
        words = (source / "classes.txt").read_text().split()
        writer = DatasetWriter(target, self.info)
        for image in files(source, ".jpg"):
            height, width = read_image(image).shape[:2]
            boxes = list(_boxes(image.with_suffix(".txt"), words, height, width))
            mask, instances = _paint(boxes, height, width)
            writer.summary.left_out.update(f"{b.word}: no category" for b in boxes if _NAMES[b.word] is None)
            group = sequence_of(image.stem)
            split: Split = "test" if group == "munich-street" else "train"
            writer.add(Item(image.stem.lower(), image, mask, instances, group, split, METRES_PER_PIXEL))
        return writer.finish()


def sequence_of(stem: str) -> str:
    """The sequence a frame belongs to, from the numbering of the frames."""
    if stem.startswith("MunichStreet02"):
        return "munich-street"
    return "crossroad" if int(stem.removeprefix("MOS")) < 100 else "autobahn"


def _boxes(path: Path, words: list[str], height: int, width: int) -> list[_Box]:
    """YOLO lines `class x y w h` (centre and size as shares of the image), clipped to the image."""
    boxes = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            index, x, y, w, h = line.split()
            centre = np.array([float(x) * width, float(y) * height])
            half = np.array([float(w) * width, float(h) * height]) / 2
            word = words[int(index)]
            _NAMES[word]
        except (ValueError, LookupError):
            raise SourceError(f"{path}:{number}: {line[:80]!r} is not `class x y w h` with a known class") from None
        low = np.clip(np.rint(centre - half), 0, (width, height)).astype(int)
        high = np.clip(np.rint(centre + half), 0, (width, height)).astype(int)
        boxes.append(_Box(word, int(low[0]), int(low[1]), int(high[0]), int(high[1])))
    return boxes


def _paint(boxes: list[_Box], height: int, width: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """Mask and instance map of the boxes, in their order; what lies outside is 0."""
    mask, instances = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint16)
    for box in boxes:
        name = _NAMES[box.word]
        inside = _ellipse(box.bottom - box.top, box.right - box.left)
        if name is None or not inside.any():
            continue
        place = np.s_[box.top : box.bottom, box.left : box.right]
        mask[place][inside] = earthsynth().named(name).id
        instances[place][inside] = instances.max() + 1
    return mask, instances


def _ellipse(height: int, width: int) -> npt.NDArray[np.bool_]:
    """The pixels of a height × width box whose centres lie in a superellipse (power 4: rounded corners) filling it."""
    y = (np.arange(height) + 0.5) / max(height, 1) * 2 - 1
    x = (np.arange(width) + 0.5) / max(width, 1) * 2 - 1
    return np.asarray(y[:, None] ** 4 + x[None, :] ** 4 <= 1.0)
