"""Semantic segmentation of Dubai (MBRSC satellites, labelled by Humans in the Loop): seven tiles of nine parts each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.base import DatasetInfo, DatasetWriter, ImportSummary, Item, files, read_image

METRES_PER_PIXEL = 0.8
"""Our estimate: villas, lanes and car parks measured by eye. The publisher states none."""

HELD_OUT = frozenset({"Tile 2"})
"""Whole tiles that training never sees."""

# The colours the masks really hold; the dataset's own classes.json lists others.
_COLOURS = {
    0x3C1098: "building",
    0x8429F6: "bare land",
    0x6EC1E4: "road",
    0xFEDD3A: "grass",
    0xE2A929: "water",
    0x9B9B9B: "background",
    0x000000: "background",
}


class Dubai:
    """Reads `Tile N/{images,masks}`: dense RGB masks; unlabelled grey and the few black pixels become background."""

    name = "dubai"
    info = DatasetInfo(
        name="Semantic segmentation of aerial imagery, Dubai",
        source="MBRSC satellite imagery, labelled by Humans in the Loop",
        licence="CC0",
        credit="Mohammed Bin Rashid Space Centre; Humans in the Loop",
        dense=True,
    )

    def run(self, source: Path, target: Path) -> ImportSummary:
        """Raises `SourceError` on a mask without its image or with a colour that no class has."""
        writer = DatasetWriter(target, self.info)
        for tile in sorted(source.glob("Tile *")):
            for mask in files(tile / "masks", ".png"):
                writer.add(self._item(tile, mask))
        return writer.finish()

    def _item(self, tile: Path, mask: Path) -> Item:
        return Item(
            stem=f"{tile.name.replace(' ', '').lower()}_{mask.stem.removeprefix('image_')}",
            image=tile / "images" / f"{mask.stem}.jpg",
            mask=ids_of_colours(read_image(mask), mask),
            instances=None,
            group=tile.name,
            split="test" if tile.name in HELD_OUT else "train",
            metres_per_pixel=METRES_PER_PIXEL,
        )


def ids_of_colours(rgb: npt.NDArray[np.uint8], place: Path) -> npt.NDArray[np.uint8]:
    """Category ids uint8 (H, W) of an RGB mask (H, W, 3). Raises `SourceError` naming a colour without a class."""
    packed = (rgb.astype(np.uint32) * np.array([1 << 16, 1 << 8, 1], np.uint32)).sum(-1, dtype=np.uint32)
    colours, inverse = np.unique(packed, return_inverse=True)
    strange = [f"#{colour:06X}" for colour in colours.tolist() if colour not in _COLOURS]
    if strange:
        raise SourceError(
            f"{place}: colours {', '.join(strange[:5])} stand for no class; the mask must be a lossless PNG"
        )
    ids = np.array([earthsynth().named(_COLOURS[colour]).id for colour in colours.tolist()], np.uint8)
    return ids[inverse].reshape(rgb.shape[:2])
