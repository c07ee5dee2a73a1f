"""Semantic segmentation of Dubai (MBRSC satellites, labelled by Humans in the Loop): seven tiles of nine parts each."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.importers.readers.dense import colours_table, uncounted
from earthsynth_factory.importers.readers.files import listing
from earthsynth_factory.importers.scene import Aid, DatasetInfo, Labels, Reader, Request, Scene, Source
from earthsynth_factory.io.label_rasters import colour_raster

METRES_PER_PIXEL = 0.8
"""Our estimate: villas, lanes and car parks measured by eye. The publisher states none."""

HELD_OUT = frozenset({"Tile 2"})
"""Whole tiles that training never sees."""

COLOURS = {
    0x3C1098: "building",
    0x8429F6: "bare land",
    0x6EC1E4: "road",
    0xFEDD3A: "grass",
    0xE2A929: "water",
    0x9B9B9B: "background",
    0x000000: "background",
}
"""The colours the masks really hold; the dataset's own classes.json lists others."""

INFO = DatasetInfo(
    name="Semantic segmentation of aerial imagery, Dubai",
    source="MBRSC satellite imagery, labelled by Humans in the Loop",
    licence="CC0",
    credit="Mohammed Bin Rashid Space Centre; Humans in the Loop",
    dense=True,
)


class Dubai(Reader):
    """Reads `Tile N/{images,masks}`: dense RGB masks; unlabelled grey and the few black pixels become background."""

    kind = "dubai"

    def recognise(self, path: Path) -> str | None:
        found = [tile for tile in _tiles(path) if listing(tile / "masks", ".png")]
        return f"{found[0].name}/masks" if found else None

    def open(self, request: Request) -> Source:
        scenes = [_scene(tile, mask) for tile in _tiles(request.path) for mask in listing(tile / "masks", ".png")]
        if not scenes:
            raise SourceError(f"{request.path}: no `Tile N/masks/*.png`; give the folder that holds the tiles")
        return Source(INFO, uncounted(COLOURS), scenes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return Labels(raster=colour_raster(scene.labels, colours_table(COLOURS, aid.classes), aid.notes.remarks))


def _tiles(path: Path) -> list[Path]:
    return sorted(path.glob("Tile *")) if path.is_dir() else []


def _scene(tile: Path, mask: Path) -> Scene:
    stem = f"{tile.name.replace(' ', '').lower()}_{mask.stem.removeprefix('image_')}"
    split = "test" if tile.name in HELD_OUT else "train"
    return Scene(stem, tile / "images" / f"{mask.stem}.jpg", mask, tile.name, split, METRES_PER_PIXEL)
