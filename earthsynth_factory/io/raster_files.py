"""Opening image files of strangers: by what their first bytes say, never by their name, with decoders that are known.

GDAL (through rasterio) reads by windows and gets one driver, no sidecar files and no network; what it has no driver for is
decoded whole by Pillow. Nothing is decoded here but headers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import rasterio
from rasterio.enums import Compression
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.taken import taken_at
from earthsynth_factory.io.whole_files import check_whole, is_png_without

MAX_BLOCK_BYTES = 1 << 28
MAX_BLOCK_PIXELS = 1 << 26
"""Largest piece that a file forces us to decode at once: a TIFF may store everything as one strip."""

GDAL = {
    "GDAL_CACHEMAX": 32,
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # GDAL's quick way for whole PNGs (3.10) takes what a file lacks from what lay in memory, now and then without an error.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
}

_DRIVERS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"BM": "BMP",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
    b"EHFA_HEADER_TAG": "HFA",
    b"NITF0": "NITF",
}
"""First bytes of a file → the one driver that may read it."""

_PILLOW = ("BMP", "WEBP", "GIF", "AVIF", "PPM", "PCX", "SGI", "TGA")
"""Formats that Pillow decodes."""

_TAGGED = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
"""Formats whose EXIF may turn them. Pillow opens MPO as JPEG and knows no such word."""

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".jp2", ".j2k", ".img", ".ntf",
    ".nitf", ".gif", ".avif", ".ppm", ".pgm", ".pnm", ".pcx", ".tga",
)  # fmt: skip
"""File names that are taken for images, in lower case."""

Pixels = npt.NDArray[Any]

_MERGED = ("uint8", "uint16", "int16", "int32", "float32", "float64")
"""Types of pixels that OpenCV knows."""


class RasterFile(Protocol):
    """An opened file. Bands count from 0; dtype is one for all of them."""

    driver: str
    height: int
    width: int
    count: int
    dtype: str
    colours: tuple[str, ...]
    """What each band is: red, green, blue, alpha, gray, palette, undefined, …"""
    names: tuple[str, ...]
    """What the file calls each band, empty if it does not."""
    nodata: float | None
    lossy: bool
    orientation: int
    """EXIF's, 1–8."""
    georeferenced: bool
    taken: str | None
    """When the picture was taken, if the file says so: see `io.taken`."""
    white_is_zero: bool
    """Of a bilevel file whether its first colour, stored as 0, is white: what is drawn white is then meant."""

    def read(self, bands: list[int], window: tuple[int, int, int, int], shape: tuple[int, int] | None = None) -> Pixels:
        """(h, w, n) of the window (top, bottom, left, right); shape: thinned to (h, w). Raises SourceError: damaged."""
        ...

    def valid(self, window: tuple[int, int, int, int]) -> npt.NDArray[np.bool_] | None:
        """(h, w) which pixels the file says are part of the picture (alpha, no-data, mask); None if all are."""
        ...

    def palette(self) -> npt.NDArray[np.uint8] | None:
        """(256, 3) its colour table, None if it has none."""
        ...

    def close(self) -> None: ...


@contextmanager
def gdal_settings() -> Iterator[None]:
    """GDAL as it is wanted here. Whoever reads many files holds it around all of them: setting it up takes as long as opening
    one.
    """
    if _settled.get():
        yield
        return
    token = _settled.set(True)
    try:
        with rasterio.Env(**GDAL):
            yield
    finally:
        _settled.reset(token)


_settled = ContextVar("GDAL is set up in this thread", default=False)


def open_raster(path: Path) -> RasterFile:
    """Raises `SourceError`: missing, no image, damaged, or stored in too large a piece."""
    if not path.is_file():
        raise SourceError(f"{path}: no such file; the dataset is incomplete")
    with path.open("rb") as file:
        head = file.read(16)
    check_whole(path, head)
    driver = next((name for magic, name in _DRIVERS.items() if head.startswith(magic)), None)
    if driver is None:
        return PillowFile(path)
    try:
        return GdalFile(path, driver)
    except RasterioError as error:
        if driver == "BMP":
            return PillowFile(path)
        raise SourceError(f"{path}: not a readable {driver} image; fetch the file again") from error


class GdalFile:
    """Read by GDAL, window by window."""

    def __init__(self, path: Path, driver: str) -> None:
        with gdal_settings(), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            self.file = rasterio.open(path, driver=driver)
        file, self._path, self.driver = self.file, path, driver
        self.height, self.width, self.count = int(file.height), int(file.width), int(file.count)
        self.dtype = str(np.result_type(*(np.dtype(name) for name in file.dtypes)))
        self.colours = tuple(interpretation.name for interpretation in file.colorinterp)
        self.names = tuple((name or "").strip().lower() for name in file.descriptions)
        self.nodata = None if file.nodata is None else float(file.nodata)
        self.lossy = driver == "JPEG" or file.compression == Compression.jpeg
        self.georeferenced = file.crs is not None or not file.transform.is_identity
        self.taken = taken_at([file.tags(), file.tags(ns="IMAGERY")])
        self.orientation = 1 if self.georeferenced else _orientation(path)
        self.white_is_zero = self._white_is_zero()
        self._weigh()

    def read(self, bands: list[int], window: tuple[int, int, int, int], shape: tuple[int, int] | None = None) -> Pixels:
        out = None if shape is None else (len(bands), *shape)
        try:
            with gdal_settings():
                found = self.file.read([band + 1 for band in bands], window=_window(window), out_shape=out)
        except RasterioError as error:
            raise SourceError(
                f"{self._path}: damaged or cut short near row {window[0]}; fetch the file again"
            ) from error
        return _pixel_by_pixel(found)

    def valid(self, window: tuple[int, int, int, int]) -> npt.NDArray[np.bool_] | None:
        if all("all_valid" in {flag.name for flag in flags} for flags in self.file.mask_flag_enums):
            return None
        try:
            with gdal_settings():
                found = self.file.dataset_mask(window=_window(window)) > 0
        except RasterioError as error:
            raise SourceError(f"{self._path}: damaged or cut short near row {window[0]}; fetch it again") from error
        return None if found.all() else np.asarray(found)

    def palette(self) -> npt.NDArray[np.uint8] | None:
        try:
            entries = self.file.colormap(1)
        except ValueError:
            return None
        return np.array([entries.get(index, (0, 0, 0))[:3] for index in range(256)], np.uint8)

    def _white_is_zero(self) -> bool:
        """Fax machines wrote TIFFs so."""
        table = self.palette() if self.file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS") == "1" else None
        return table is not None and bool((table[0] == 255).all())

    def close(self) -> None:
        self.file.close()

    def _weigh(self) -> None:
        pieces = [rows * columns for rows, columns in self.file.block_shapes]
        whole = self.driver == "PNG" and _interlaced(self._path)
        fault = None
        if "complex" in self.dtype:
            fault = f"{self.dtype} pixels are no picture; convert them to amplitudes first"
        elif (self.height * self.width if whole else max(pieces)) > MAX_BLOCK_PIXELS or self._bytes(
            pieces
        ) > MAX_BLOCK_BYTES:
            fault = "stored as one piece too large to decode at once; write it tiled (`gdal_translate -co TILED=YES`)"
        if fault:
            self.close()
            raise SourceError(f"{self._path}: {fault}")

    def _bytes(self, pieces: list[int]) -> int:
        """Bytes of the largest piece; a file may store all channels of a pixel together, however many."""
        together = getattr(self.file.interleaving, "value", "").lower() == "pixel"
        return max(pieces) * np.dtype(self.dtype).itemsize * (self.count if together else 1)


class PillowFile:
    """Decoded whole, when first read."""

    nodata: float | None = None
    white_is_zero = False
    georeferenced = False
    taken: str | None = None
    names: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        try:
            self._image = PIL.Image.open(path, formats=_PILLOW)
        except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
            raise SourceError(
                f"{path}: not a readable image (PNG, JPEG, TIFF, BMP, WebP, JPEG 2000, GIF, …); fetch or convert it"
            ) from error
        self._path, self.driver = path, str(self._image.format)
        self.width, self.height = self._image.size
        if self.width * self.height > MAX_BLOCK_PIXELS:
            raise SourceError(
                f"{path}: {self.width}×{self.height} pixels are too many for {self.driver}; convert it to TIFF"
            )
        self.colours = {"P": ("palette",), "1": ("gray",), "L": ("gray",), "LA": ("gray", "alpha")}.get(
            self._image.mode,
            ("red", "green", "blue", "alpha") if _transparent(self._image) else ("red", "green", "blue"),
        )
        self.count = len(self.colours)
        self.dtype = "uint16" if self._image.mode.startswith("I") else "uint8"
        self.colours = ("gray",) if self.dtype == "uint16" else self.colours
        self.count = len(self.colours)
        self.lossy = self.driver == "AVIF" or (self.driver == "WEBP" and not _lossless_webp(path))
        self.orientation = _orientation(path)
        self._pixels: Pixels | None = None

    def read(self, bands: list[int], window: tuple[int, int, int, int], shape: tuple[int, int] | None = None) -> Pixels:
        top, bottom, left, right = window
        found = self._whole()[top:bottom, left:right, bands]
        if shape is None:
            return np.ascontiguousarray(found)
        rows, columns = (np.arange(n) * length // n for n, length in zip(shape, found.shape, strict=False))
        return np.ascontiguousarray(found[np.ix_(rows, columns)])

    def valid(self, window: tuple[int, int, int, int]) -> npt.NDArray[np.bool_] | None:
        if self.colours[-1] != "alpha":
            return None
        found = self.read([self.count - 1], window)[..., 0] > 0
        return None if found.all() else np.asarray(found)

    def palette(self) -> npt.NDArray[np.uint8] | None:
        flat = self._image.getpalette("RGB") if self.colours == ("palette",) else None
        if flat is None:
            return None
        table = np.zeros((256, 3), np.uint8)
        table[: len(flat) // 3] = np.reshape(flat, (-1, 3))
        return table

    def close(self) -> None:
        self._image.close()

    def _whole(self) -> Pixels:
        if self._pixels is None:
            modes = {("palette",): "P", ("gray",): "L", ("gray", "alpha"): "LA", ("red", "green", "blue"): "RGB"}
            try:
                mode = modes.get(self.colours, "RGBA")
                image = self._image if self.dtype == "uint16" or self._image.mode == mode else self._image.convert(mode)
                pixels = np.asarray(image, self.dtype)
            except (OSError, SyntaxError, ValueError) as error:
                raise SourceError(f"{self._path}: damaged or cut short ({error}); fetch the file again") from error
            self._pixels = pixels.reshape(self.height, self.width, -1)
        return self._pixels


def _pixel_by_pixel(bands: Pixels) -> Pixels:
    """(n, h, w) → (h, w, n)."""
    if 1 < len(bands) <= 4 and bands.dtype in _MERGED and bands.size:
        return np.asarray(cv2.merge(list(bands)))  # numpy's own way takes twenty times as long
    return np.ascontiguousarray(np.moveaxis(bands, 0, -1))


def _window(window: tuple[int, int, int, int]) -> Window:
    top, bottom, left, right = window
    return Window(left, top, right - left, bottom - top)


def _orientation(path: Path) -> int:
    """EXIF's orientation, 1–8; 1 if nothing or nonsense is said."""
    if is_png_without(b"eXIf", path):  # as nearly all are: five times as quick as to have Pillow look
        return 1
    try:
        with warnings.catch_warnings(action="ignore"), PIL.Image.open(path, formats=_TAGGED) as image:
            if image.format == "TIFF":
                found = image.tag_v2.get(0x0112, 1)  # type: ignore[attr-defined]
            else:
                tags = PIL.Image.Exif()
                tags.load(image.info.get("exif", b""))
                found = tags.get(0x0112, 1)
    except Exception:  # whatever is wrong with the tags, the pixels may be sound
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _transparent(image: PIL.Image.Image) -> bool:
    return image.mode in ("RGBA", "PA", "La", "RGBa") or "transparency" in image.info


def _interlaced(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(29)[28:] == b"\x01"


def _lossless_webp(path: Path) -> bool:
    with path.open("rb") as file:
        return b"VP8L" in file.read(64)
