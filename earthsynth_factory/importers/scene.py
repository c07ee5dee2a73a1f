"""What a reader of one dataset gives: scenes to prepare, and each scene's labels when its turn comes.

A reader knows one format and nothing of crops, folders or journals; `prepare` knows these and no format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.classes import ClassMap
from earthsynth_factory.importers.tree import Tree

NO_AREA = "points or lines, which have no area"
OUTSIDE = "object outside its image"
"""Why something is left out that does say that an object is there."""

Ids = npt.NDArray[np.uint8]
"""(H, W) category ids, 0 = background, 255 = ignore."""


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What is true of a whole dataset. `dense` says that every pixel was labelled, so background is no "unknown"."""

    name: str
    source: str
    licence: str
    credit: str
    dense: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """One labelled image, light enough to be sent to a worker process.

    stem: unique in its dataset. group: what no split may divide. split: as published, None if nothing is said.
    metres_per_pixel: > 0, or None if unknown. labels: whatever the reader's own `labels` needs, picklable.
    size: (H, W) that the source says the image has, None if it says nothing. An image of another size is a fault; one
    whose EXIF turns it is left as stored if the source means that. shared: label files that are of other images too.
    """

    stem: str
    image: Path
    labels: Any
    group: str
    split: str | None = None
    metres_per_pixel: float | None = None
    size: tuple[int, int] | None = None
    shared: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """An opened dataset. words: class word as the dataset spells it → how often it is used (None: not counted)."""

    info: DatasetInfo
    words: Mapping[str, int | None]
    scenes: list[Scene]

    @property
    def objects(self) -> int:
        """Objects that were counted, over all classes."""
        return sum(count or 0 for count in self.words.values())


@dataclass(frozen=True, eq=False, slots=True)
class SceneObject:
    """One object: `pixels` bool (h, w) with its upper left corner at row `top`, column `left` of the scene.

    crowd: COCO's flag, a region of uncounted objects. difficult: DOTA's and VOC's flag. given: the corners that the source
    drew, in the scene's pixels; None if it gave pixels alone.
    """

    word: str
    top: int
    left: int
    pixels: npt.NDArray[np.bool_]
    crowd: bool = False
    difficult: bool = False
    given: Given | None = None


class Raster(Protocol):
    """A dense label image, read by windows."""

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) pixels; must equal the image's."""
        ...

    def rows(self, top: int, bottom: int, left: int = 0, right: int | None = None) -> Ids:
        """Category ids (bottom − top, right − left), `IGNORE` where nothing is known; right: None for the last column.

        Raises `SourceError` on a value that stands for no class.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


@dataclass(frozen=True, slots=True)
class SceneLabels:
    """All that is known of a scene: a dense raster, objects, or both (then the raster decides a pixel's class)."""

    raster: Raster | None = None
    objects: tuple[SceneObject, ...] = ()


@dataclass(slots=True)
class Notes:
    """What could not be used and why. With `strict` the first fault is raised instead of noted.

    left_out: what was dropped, by reason. remarks: what was used otherwise than it stands there (an image turned upright, a
    degenerate ring passed over), by sentence; both count.
    """

    strict: bool = False
    faults: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)

    def error(self, error: SourceError) -> None:
        """As `fault`, for an error that names its place itself."""
        if self.strict:
            raise SourceError(f"{error} (--strict)")
        self.faults.append(str(error))

    def fault(self, place: str | Path, message: str) -> None:
        """One thing skipped, named by file and line. Raises `SourceError` if `strict`."""
        self.error(SourceError(f"{place}: {message}"))


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What is to be opened. name: the dataset's, as the path says it. segments: masks that a segmenter made of boxes."""

    tree: Tree
    name: str
    classes: ClassMap
    notes: Notes
    segments: Path | None = None

    @property
    def path(self) -> Path:
        """What the user gave, for messages."""
        return self.tree.file or self.tree.root


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What a reader needs beside the scene. size: (H, W) pixels of its image."""

    size: tuple[int, int]
    classes: ClassMap
    notes: Notes


class Strength(IntEnum):
    """How far something shows what a folder is. SHAPE: folders lie as they would. FORMAT: files that only this format has.
    OWN: marks that only this published dataset has.
    """

    SHAPE = 1
    FORMAT = 2
    OWN = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows that a folder is of a kind; `why` is said to the user."""

    strength: Strength
    why: str


class Reader(ABC):
    """A reader of one dataset format. Stateless: it is sent to the worker processes."""

    kind: ClassVar[str]
    """The word for it on the command line."""

    forms: ClassVar[tuple[str, ...]] = ()
    """Kinds of general form that it is written in, and so would also pass for."""

    cuts: ClassVar[bool] = True
    """Whether its images are cut into crops; False if they are crops already."""

    def recognise(self, request: ReadRequest) -> Evidence | None:
        """What in the tree shows that it is of this kind; None if it is not, which is what plug-ins may leave it at.

        Looks at few files. The map file may say what ids or colours mean, and so be evidence.
        """
        del request
        return None

    @abstractmethod
    def open(self, request: ReadRequest) -> Source:
        """List the scenes. Raises `SourceError` if the path is not of this kind; smaller faults go to the notes."""

    @abstractmethod
    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        """Read the labels of a scene. Raises `SourceError` if it is unusable; smaller faults go to the notes."""
