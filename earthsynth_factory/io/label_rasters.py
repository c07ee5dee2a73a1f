"""Label images as category ids, read by windows: ids of any width, colours exact or near, one grey threshold.

A table gives the category of every id or colour, `IGNORE` among them. What stands in no table is refused by its value, but
for what is certainly no class: the file's own no-data becomes `IGNORE`, as do colours between two classes, which are told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.near_colours import NearColours
from earthsynth_factory.io.pictures import Picture, pack_colours

Ids = npt.NDArray[np.uint8]

TRANSPARENT = "transparent pixels of masks, taken for background"
BETWEEN = "mask pixels of a colour between classes, set to ignore"
NEAR = "mask pixels of a colour near a class, taken for it"


class LabelRaster:
    """A label image whose stored values become category ids. Subclasses say how."""

    def __init__(self, path: Path, remarks: Counter[str] | None = None) -> None:
        """remarks: where what was read otherwise than it stands there is counted. Raises `SourceError` as `Picture`."""
        self.path, self.picture = path, Picture(path)
        self.remarks: Counter[str] = Counter() if remarks is None else remarks
        self._told = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) pixels."""
        return self.picture.shape

    def rows(self, top: int, bottom: int, left: int = 0, right: int | None = None) -> Ids:
        """Category ids (bottom − top, right − left). Raises `SourceError` on a value that stands for no class."""
        found, remarked = self.translate(top, bottom, left, right)
        opaque = self.picture.opaque(top, bottom, left, right)
        if opaque is not None:
            found = np.where(opaque, found, np.uint8(BACKGROUND))
            remarked[TRANSPARENT] = ~opaque
        # Windows overlap; what lies in rows that were told is not counted again.
        new = slice(max(self._told - top, 0), None)
        self.remarks.update({remark: count for remark, where in remarked.items() if (count := int(where[new].sum()))})
        whole = (left, right) in ((0, None), (0, self.shape[1])) or right == self.shape[1]
        self._told = max(self._told, bottom) if whole else self._told
        return found

    def translate(
        self, top: int, bottom: int, left: int, right: int | None
    ) -> tuple[Ids, dict[str, npt.NDArray[np.bool_]]]:
        """The window's category ids, and for each remark where it holds."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file."""
        self.picture.close()

    def refuse_lossy(self) -> None:
        """Raises `SourceError` for a JPEG and its like: ids that were changed cannot be told from others."""
        if self.picture.file.lossy:
            self.close()
            raise SourceError(
                f"{self.path}: stored as {self.picture.file.driver} with loss, which changes values, so ids in it are not "
                "those that were drawn; get the masks as PNG or TIFF"
            )


class IdRaster(LabelRaster):
    """table: id in the file → category id. Whole numbers of any width, also as floats."""

    def __init__(self, path: Path, table: Mapping[int, int], remarks: Counter[str] | None = None) -> None:
        super().__init__(path, remarks)
        self.refuse_lossy()
        nodata = self.picture.file.nodata
        known = dict(table)
        if nodata is not None and np.isfinite(nodata) and nodata == int(nodata):
            known.setdefault(int(nodata), IGNORE)
        self._ids = np.array(sorted(known), np.int64)
        self._categories = np.array([known[int(file_id)] for file_id in self._ids], np.uint8)
        self._bytes, self._unknown = np.full(256, IGNORE, np.uint8), np.ones(256, bool)
        low = (self._ids >= 0) & (self._ids < 256)
        self._bytes[self._ids[low]], self._unknown[self._ids[low]] = self._categories[low], False

    def translate(
        self, top: int, bottom: int, left: int, right: int | None
    ) -> tuple[Ids, dict[str, npt.NDArray[np.bool_]]]:
        raw = self.picture.ids(top, bottom, left, right)
        if raw.dtype == np.uint8:
            found = np.asarray(cv2.LUT(raw, self._bytes), np.uint8)
            ignored = raw[found == IGNORE]
            self._refuse(np.unique(ignored[self._unknown[ignored]]))
            return found, {}
        values, places = np.unique(raw, return_inverse=True)
        at = np.searchsorted(self._ids, values).clip(max=len(self._ids) - 1)
        known = self._ids[at] == values
        self._refuse(values[~known & ~np.isnan(values)])
        return np.where(known, self._categories[at], np.uint8(IGNORE))[places].reshape(raw.shape), {}

    def _refuse(self, strange: npt.NDArray[Any]) -> None:
        """Raises `SourceError` if there is any value of no class; NaN is none, and is ignored."""
        if not strange.size:
            return
        shown = [int(value) if float(value).is_integer() else value for value in strange[:8].tolist()]
        remedy = f"give them in --map (`{shown[0]}: name`)" if isinstance(shown[0], int) else "ids are whole numbers"
        raise SourceError(f"{self.path}: ids {shown} stand for no class; {remedy}")


class ColourRaster(LabelRaster):
    """table: 0xRRGGBB → category id. A colour that is none of them is taken for the nearest if that is near and no other
    is; else it is between classes, as at blended borders, or stands for a class that nobody named, which is refused.
    """

    def __init__(self, path: Path, table: Mapping[int, int], remarks: Counter[str] | None = None) -> None:
        super().__init__(path, remarks)
        self._colours = np.array(sorted(table), np.uint32)
        self._categories = np.array([table[int(colour)] for colour in self._colours], np.uint8)
        self._near = NearColours(self._colours)

    def translate(
        self, top: int, bottom: int, left: int, right: int | None
    ) -> tuple[Ids, dict[str, npt.NDArray[np.bool_]]]:
        packed = pack_colours(self.picture.rgb(top, bottom, left, right))
        place = np.searchsorted(self._colours, packed).clip(max=len(self._colours) - 1)
        exact = self._colours[place] == packed
        found = self._categories[place]
        if exact.all():
            return found, {}
        opaque = self.picture.opaque(top, bottom, left, right)
        asked = ~exact if opaque is None else ~exact & opaque
        nearest, strange = self._near.find(packed[asked], packed.size)
        if strange:
            names = ", ".join(f"#{colour:06X}" for colour in strange[:5])
            raise SourceError(f"{self.path}: colours {names} stand for no class; give them in --map")
        found[asked] = np.where(nearest < 0, IGNORE, self._categories[nearest])
        between, near = np.zeros_like(asked), np.zeros_like(asked)
        between[asked], near[asked] = nearest < 0, nearest >= 0
        return found, {BETWEEN: between, NEAR: near}


class ThresholdRaster(LabelRaster):
    """A grey mask: `category` where the value is at least `threshold`, else background."""

    def __init__(self, path: Path, threshold: int, category: int, remarks: Counter[str] | None = None) -> None:
        super().__init__(path, remarks)
        self._threshold, self._category = threshold, category

    def translate(
        self, top: int, bottom: int, left: int, right: int | None
    ) -> tuple[Ids, dict[str, npt.NDArray[np.bool_]]]:
        grey = self.picture.ids(top, bottom, left, right)
        return np.where(grey >= self._threshold, self._category, BACKGROUND).astype(np.uint8), {}


def id_raster(path: Path, table: Mapping[int, int], remarks: Counter[str] | None = None) -> LabelRaster:
    """A mask of ids; `table`: id in the file → category id. Raises `SourceError` as `IdRaster`."""
    return IdRaster(path, table, remarks)


def colour_raster(path: Path, table: Mapping[int, int], remarks: Counter[str] | None = None) -> LabelRaster:
    """A mask of colours; `table`: 0xRRGGBB → category id."""
    return ColourRaster(path, table, remarks)


def threshold_raster(path: Path, threshold: int, category: int) -> LabelRaster:
    """A grey mask: `category` where the value is at least `threshold`, else background."""
    return ThresholdRaster(path, threshold, category)
