"""Images and label images of strangers, read in bands of rows, so that a 20,000-pixel scene does not fill memory.

Reading is GDAL's (through rasterio) with three drivers and no others: PNG, JPEG, TIFF. Sidecar files are ignored.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from earthsynth_factory.errors import SourceError

MAX_PIXELS = 1 << 29
"""Largest image that is opened, in pixels: 23,170 × 23,170."""

MAX_BLOCK_PIXELS = 1 << 26
"""Largest piece that a file forces us to decode at once: a TIFF may store everything as one strip."""

_DRIVERS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
}
"""First bytes of a file → the one driver that may read it."""

_GDAL = {"GDAL_CACHEMAX": 32, "GDAL_PAM_ENABLED": "NO", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}

TAIL = 1 << 14
"""Last bytes of a file in which its end mark is looked for; some writers append notes of their own."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""File names that are taken for images, in lower case."""

Pixels = npt.NDArray[np.uint8]


class Picture:
    """An opened image. Bands may overlap; each row is decoded once as long as they come from top to bottom.

    shape: (H, W). channels: as stored; a colour table counts as one.
    """

    def __init__(self, path: Path) -> None:
        """Raises `SourceError`: missing, no image, damaged, too large, or not 8 bits a channel."""
        self.path = path
        if not path.is_file():
            raise SourceError(f"{path}: no such file; the dataset is incomplete")
        try:
            with rasterio.Env(**_GDAL), warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self._file = rasterio.open(path, driver=_driver(path))
        except RasterioError as error:
            raise SourceError(f"{path}: not a readable PNG, JPEG or TIFF image; fetch the file again") from error
        self.shape = (int(self._file.height), int(self._file.width))
        self.channels = int(self._file.count)
        self._weigh()
        self._held: tuple[int, Pixels] | None = None

    def __enter__(self) -> Picture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def metres_per_pixel(self) -> float | None:
        """From the georeference where there is one in metres, else None."""
        crs = self._file.crs
        if crs is None or not crs.is_projected or crs.linear_units.lower() not in ("metre", "meter"):
            return None
        across, down = (abs(float(side)) for side in self._file.res)
        return (across + down) / 2 if across > 0 and down > 0 else None

    def rgb(self, top: int, bottom: int) -> Pixels:
        """(bottom − top, W, 3). Grey is repeated, a colour table applied, channels beyond three left out."""
        band = self._rows(top, bottom)
        if self.channels >= 3:
            return np.ascontiguousarray(band[..., :3])
        table = self._color_table()
        return table[band[..., 0]] if table is not None else np.repeat(band[..., :1], 3, axis=2)

    def ids(self, top: int, bottom: int) -> Pixels:
        """(bottom − top, W): the stored numbers of a one-channel image, or of one with equal channels.

        Raises `SourceError` where the channels differ.
        """
        band = self._rows(top, bottom)
        if self.channels >= 3 and not (band[..., 1:3] == band[..., :1]).all():
            raise SourceError(f"{self.path}: a colour picture, not a mask of class ids; give its colours in --map")
        numbers = np.ascontiguousarray(band[..., 0])
        return 1 - numbers if self._white_is_zero() else numbers

    def _rows(self, top: int, bottom: int) -> Pixels:
        """(bottom − top, W, C), those decoded for the band before taken from memory."""
        kept: list[Pixels] = []
        start = top
        if self._held is not None and self._held[0] <= top < self._held[0] + len(self._held[1]):
            kept = [self._held[1][top - self._held[0] :][: bottom - top]]
            start += len(kept[0])
        if start < bottom:
            kept.append(self._decode(start, bottom))
        band = kept[0] if len(kept) == 1 else np.concatenate(kept)
        self._held = (top, band)
        return band

    def _decode(self, top: int, bottom: int) -> Pixels:
        window = Window(0, top, self.shape[1], bottom - top)
        try:
            with rasterio.Env(**_GDAL):
                band = self._file.read(window=window)
        except RasterioError as error:
            raise SourceError(f"{self.path}: damaged or cut short near row {top}; fetch the file again") from error
        return np.ascontiguousarray(np.moveaxis(band, 0, -1), np.uint8)

    def _white_is_zero(self) -> bool:
        """Whether this is a bilevel TIFF that stores white as 0, as fax machines did: what is drawn white is then meant."""
        if self._file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS") != "1":
            return False
        table = self._color_table()
        return table is not None and bool((table[0] == 255).all())

    def _color_table(self) -> Pixels | None:
        try:
            entries = self._file.colormap(1)
        except ValueError:
            return None
        return np.array([entries.get(index, (0, 0, 0))[:3] for index in range(256)], np.uint8)

    def _weigh(self) -> None:
        height, width = self.shape
        fault = None
        if height * width > MAX_PIXELS:
            fault = f"{width}×{height} pixels are more than {MAX_PIXELS}; cut the image into tiles"
        elif max(rows * columns for rows, columns in self._file.block_shapes) > MAX_BLOCK_PIXELS:
            fault = "stored as one piece too large to decode at once; write it tiled (`gdal_translate -co TILED=YES`)"
        elif any(dtype != "uint8" for dtype in self._file.dtypes):
            fault = f"{self._file.dtypes[0]} pixels; convert the image to 8 bits a channel"
        if fault:
            self.close()
            raise SourceError(f"{self.path}: {fault}")


def _driver(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    _whole(path, head)
    found = next((driver for magic, driver in _DRIVERS.items() if head.startswith(magic)), None)
    if found is None:
        raise SourceError(f"{path}: neither PNG, JPEG nor TIFF; convert the image")
    return found


def _whole(path: Path, head: bytes) -> None:
    """A PNG or JPEG that was cut short has no end mark; the decoders would only fill in black or grey."""
    mark = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}.get(head if head[:1] == b"\x89" else head[:3])
    if mark is None:
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        if mark not in file.read():
            raise SourceError(f"{path}: damaged or cut short; fetch the file again")


class TableRaster:
    """A label image whose stored ids or colours become category ids by a table; see `id_raster`, `colour_raster`."""

    def __init__(self, path: Path, translate: Callable[[Picture, int, int], Pixels]) -> None:
        self._picture, self._translate = Picture(path), translate

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) pixels."""
        return self._picture.shape

    def rows(self, top: int, bottom: int) -> Pixels:
        """Category ids (bottom − top, W). Raises `SourceError` on a value that stands for no class."""
        return self._translate(self._picture, top, bottom)

    def close(self) -> None:
        """Let go of the file."""
        self._picture.close()


def id_raster(path: Path, table: dict[int, int]) -> TableRaster:
    """A mask of ids; `table`: id in the file → category id."""
    lookup, known = np.zeros(256, np.uint8), np.zeros(256, bool)
    for file_id, category in table.items():
        lookup[file_id], known[file_id] = category, True

    def translate(picture: Picture, top: int, bottom: int) -> Pixels:
        raw = picture.ids(top, bottom)
        present = np.bincount(raw.ravel(), minlength=256) > 0
        strange = np.flatnonzero(present & ~known)[:8].tolist()
        if strange:
            raise SourceError(
                f"{picture.path}: ids {strange} stand for no class; give them in --map (`{strange[0]}: name`)"
            )
        return lookup[raw]

    return TableRaster(path, translate)


def colour_raster(path: Path, table: dict[int, int]) -> TableRaster:
    """A mask of colours; `table`: 0xRRGGBB → category id."""
    colours = np.array(sorted(table), np.uint32)
    categories = np.array([table[int(colour)] for colour in colours], np.uint8)

    def translate(picture: Picture, top: int, bottom: int) -> Pixels:
        packed = pack_colours(picture.rgb(top, bottom))
        place = np.searchsorted(colours, packed).clip(max=len(colours) - 1)
        strange = packed[colours[place] != packed]
        if strange.size:
            names = ", ".join(f"#{int(colour):06X}" for colour in np.unique(strange)[:5])
            raise SourceError(f"{picture.path}: colours {names} stand for no class; a mask must be stored without loss")
        return np.asarray(categories[place], np.uint8)

    return TableRaster(path, translate)


def threshold_raster(path: Path, threshold: int, category: int) -> TableRaster:
    """A grey mask: `category` where the value is at least `threshold`, else background."""

    def translate(picture: Picture, top: int, bottom: int) -> Pixels:
        return np.where(picture.ids(top, bottom) >= threshold, category, 0).astype(np.uint8)

    return TableRaster(path, translate)


def pack_colours(rgb: Pixels) -> npt.NDArray[np.uint32]:
    """(H, W, 3) → (H, W) 0xRRGGBB."""
    wide = rgb.astype(np.uint32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])
