"""Images of strangers as pictures: upright, red-green-blue, 8 bits, read by windows, so that a scene of any size fits.

What was done to make one of a file (turned, stretched, bands chosen) is told by the picture; what lies outside the picture
(no-data, transparent) by `valid`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.georeference import Georeference, beside
from earthsynth_factory.io.raster_files import MAX_BLOCK_PIXELS, SUFFIXES, GdalFile, open_raster
from earthsynth_factory.io.stretch import Stretch, thinned

MAX_PIXELS = 1 << 29
"""Largest piece of a picture that is read at once, in pixels."""

LOOKED_AT = 1024
"""Rows and columns to which an image is thinned for its values."""

Pixels = npt.NDArray[np.uint8]

_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class Rendering:
    """How files become pictures. stretch: for those of more than 8 bits. bands: red, green, blue, counted from 1; None: as
    each file says.
    """

    stretch: Stretch | None = None
    bands: tuple[int, int, int] | None = None


class Picture:
    """An opened image. Bands may overlap; each row is decoded once as long as they come from top to bottom.

    shape: (H, W) upright. stored_shape: as in the file. channels: as stored; a colour table counts as one.
    """

    def __init__(self, path: Path, rendering: Rendering | None = None) -> None:
        """Raises `SourceError`: missing, no image, damaged, stored in too large a piece, without a band that is asked for."""
        self.path, self._rendering = path, rendering or Rendering()
        self.file = open_raster(path)
        self.stored_shape = (self.file.height, self.file.width)
        self.channels, self.dtype = self.file.count, self.file.dtype
        self.turn = self.file.orientation
        self._held: tuple[int, npt.NDArray[Any]] | None = None
        self._upright: npt.NDArray[Any] | None = None
        self.bands = self._chosen_bands()

    def __enter__(self) -> Picture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.stored_shape
        return (width, height) if self.turn >= 5 else (height, width)

    @property
    def named_bands(self) -> bool:
        """Whether it is known which bands are red, green and blue: by the user, by the file, or as there are so few."""
        return (
            self._rendering.bands is not None
            or self.channels <= 3
            or _by_name(self.file.colours, self.file.names) is not None
        )

    @property
    def plain(self) -> bool:
        """Whether every reader sees in the file what this one does: PNG or JPEG, 8 bits, upright, with the usual bands."""
        usual = self.dtype == "uint8" and self.bands == list(range(min(self.channels, 3)))
        return self.file.driver in ("PNG", "JPEG") and usual and self.file.orientation == 1

    def leave_as_stored(self) -> None:
        """Do not turn it: its labels were drawn on the file as stored."""
        self.turn = 1

    def georeference(self) -> Georeference | None:
        """From the file, else from what lies beside it; None of an image that was turned, or lies nowhere."""
        if isinstance(self.file, GdalFile) and self.file.georeferenced:
            return Georeference(self.file.file.crs, self.file.file.transform)
        return beside(self.path) if self.turn == 1 else None

    def about_source(self) -> dict[str, object]:
        """What its file says beside pixels, as plain values, as far as it does: `nodata` (a number, or a text for one that
        JSON lacks), `bands` that are shown as red, green, blue (counted from 1), if it has others, and `datetime`.
        """
        nodata, bands = self.file.nodata, [band + 1 for band in self.bands]
        found: dict[str, object] = {}
        if nodata is not None:
            found["nodata"] = nodata if math.isfinite(nodata) else str(nodata)
        if bands not in ([1], [1, 2, 3]) or self.channels - self.file.colours.count("alpha") > len(bands):
            found["bands"] = bands
        return found | ({"datetime": self.file.taken} if self.file.taken else {})

    def metres_per_pixel(self) -> float | None:
        """The true ground scale at its centre, if a georeference tells it."""
        found = self.georeference()
        return found.metres_per_pixel(self.shape[1], self.shape[0]) if found else None

    def rgb(self, top: int, bottom: int, left: int = 0, right: int | None = None) -> Pixels:
        """(bottom − top, right − left, 3). Grey is repeated, a colour table applied. Raises `SourceError` if the file has
        more than 8 bits and no stretch is known.
        """
        window = self._read(self.bands, top, bottom, left, right)
        if self.dtype == "uint8":
            table = self.file.palette() if len(self.bands) == 1 else None
            return table[window[..., 0]] if table is not None else _three(window)
        if self._rendering.stretch is None:
            raise SourceError(
                f"{self.path}: {self.dtype} pixels; say how they become 8 bits, as --stretch p2-98, min-max or 0,3000"
            )
        return self._rendering.stretch.apply(_three(window))

    def ids(self, top: int, bottom: int, left: int = 0, right: int | None = None) -> npt.NDArray[Any]:
        """(bottom − top, right − left): the stored numbers of a one-channel image, or of one with equal channels.

        Raises `SourceError` if the channels differ. A fourth, or a second, of 255 alone is transparency that the file does
        not call so.
        """
        colours = [band for band, name in enumerate(self.file.colours) if name != "alpha"]
        if len(colours) > 4:
            raise SourceError(f"{self.path}: {len(colours)} bands, and a mask of class ids has one; write it so")
        window = self._read(colours, top, bottom, left, right)
        if len(colours) in (2, 4) and (window[..., -1] == 255).all():
            window = window[..., :-1]
        if window.shape[2] > 1 and not (window == window[..., :1]).all():
            raise SourceError(f"{self.path}: a colour picture, not a mask of class ids; give its colours in --map")
        numbers = np.ascontiguousarray(window[..., 0])
        return np.asarray(1 - numbers) if self.file.white_is_zero else numbers

    def valid(self, top: int, bottom: int, left: int = 0, right: int | None = None) -> npt.NDArray[np.bool_] | None:
        """(bottom − top, right − left) which pixels are part of the picture (not transparent, not no-data, a number); None
        where all are.
        """
        right = self.shape[1] if right is None else right
        if self.turn != 1:
            whole = self.file.valid((0, self.file.height, 0, self.file.width))
            found = None if whole is None else _turned(whole, self.turn)[top:bottom, left:right]
        else:
            found = self.file.valid((top, bottom, left, right))
        if np.dtype(self.dtype).kind != "f":
            return found
        numbers: npt.NDArray[np.bool_] = np.isfinite(self._read(self.bands, top, bottom, left, right)).all(axis=2)
        return numbers if found is None else numbers & found

    def opaque(self, top: int, bottom: int, left: int = 0, right: int | None = None) -> npt.NDArray[np.bool_] | None:
        """(bottom − top, right − left) which pixels are not wholly transparent; None if the file knows no transparency."""
        if "alpha" not in self.file.colours:
            return None
        return np.asarray(self._read([self.file.colours.index("alpha")], top, bottom, left, right)[..., 0] > 0)

    def values(self) -> npt.NDArray[Any]:
        """(n, 3) values of the pixels that are part of the picture, thinned, as the stretch of a dataset is settled from."""
        height, width = self.stored_shape
        step = max(1, -(-max(height, width) // LOOKED_AT))
        shape = max(1, height // step), max(1, width // step)
        found = _three(self.file.read(self.bands, (0, height, 0, width), shape)).reshape(-1, 3)
        kept = np.isfinite(found).all(axis=1)
        if self.file.nodata is not None:
            kept &= ~(found == self.file.nodata).all(axis=1)
        if "alpha" in self.file.colours:
            alpha = self.file.read([self.file.colours.index("alpha")], (0, height, 0, width), shape)
            kept &= alpha.reshape(-1) > 0
        return thinned(found[kept])

    def _chosen_bands(self) -> list[int]:
        """The places of red, green and blue among the bands, or of grey alone."""
        if self._rendering.bands:
            wanted = [band - 1 for band in self._rendering.bands]
            if not all(0 <= band < self.channels for band in wanted):
                self.close()
                raise SourceError(f"{self.path}: has {self.channels} bands; --bands names others")
            return wanted
        named = _by_name(self.file.colours, self.file.names)
        if named:
            return named
        return [0, 1, 2] if self.channels - self.file.colours.count("alpha") >= 3 else [0]

    def _read(self, bands: list[int], top: int, bottom: int, left: int, right: int | None) -> npt.NDArray[Any]:
        width = self.shape[1]
        right = width if right is None else right
        if (bottom - top) * (right - left) > MAX_PIXELS:
            raise SourceError(f"{self.path}: {right - left}×{bottom - top} pixels are too many at once; use --crop")
        if self.turn != 1:
            return self._whole(bands)[top:bottom, left:right]
        if (left, right) != (0, width) or bands != self.bands:
            return self.file.read(bands, (top, bottom, left, right))
        return self._rows(top, bottom)

    def _whole(self, bands: list[int]) -> npt.NDArray[Any]:
        """All of a picture that has to be turned."""
        height, width = self.stored_shape
        if height * width > MAX_BLOCK_PIXELS:
            raise SourceError(f"{self.path}: EXIF turns it and {width}×{height} pixels are too many; write it upright")
        if bands != self.bands:
            return _turned(self.file.read(bands, (0, height, 0, width)), self.turn)
        if self._upright is None:
            self._upright = _turned(self.file.read(bands, (0, height, 0, width)), self.turn)
        return self._upright

    def _rows(self, top: int, bottom: int) -> npt.NDArray[Any]:
        """(bottom − top, W, C), those decoded for the band before taken from memory."""
        kept: list[npt.NDArray[Any]] = []
        start = top
        if self._held is not None and self._held[0] <= top < self._held[0] + len(self._held[1]):
            kept = [self._held[1][top - self._held[0] :][: bottom - top]]
            start += len(kept[0])
        if start < bottom:
            kept.append(self.file.read(self.bands, (start, bottom, 0, self.shape[1])))
        band = kept[0] if len(kept) == 1 else np.concatenate(kept)
        self._held = (top, band)
        return band


def pack_colours(rgb: Pixels) -> npt.NDArray[np.uint32]:
    """(H, W, 3) → (H, W) 0xRRGGBB."""
    four = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA)
    return np.asarray(four.view("<u4")[..., 0] & np.uint32(0xFFFFFF))


def _three(window: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.repeat(window[..., :1], 3, axis=2) if window.shape[2] < 3 else np.ascontiguousarray(window)


def _by_name(colours: tuple[str, ...], names: tuple[str, ...]) -> list[int] | None:
    """Where red, green and blue are, by the file's colour interpretation, else by what it calls its bands."""
    for known in (colours, names):
        if all(known.count(colour) == 1 for colour in _COLOURS):
            return [known.index(colour) for colour in _COLOURS]
    return None


def _turned(pixels: npt.NDArray[Any], turn: int) -> npt.NDArray[Any]:
    """(h, w, …) as EXIF's orientation 2–8 wants it shown."""
    upright = np.swapaxes(pixels, 0, 1) if turn >= 5 else pixels
    upright = upright[::-1] if turn in (3, 4, 7, 8) else upright
    upright = upright[:, ::-1] if turn in (2, 3, 6, 7) else upright
    return np.ascontiguousarray(upright)


__all__ = ["MAX_PIXELS", "SUFFIXES", "Picture", "Rendering", "pack_colours"]
