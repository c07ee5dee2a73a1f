"""What exports, sheets, statistics and filters read: labelled images one by one, whether made by us or prepared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.io.stored import StoredFile


class LabelledDataset(Protocol):
    """A folder of labelled images. `BuildReader` (a build's output) and `PreparedDataset` (real data) are such."""

    @property
    def root(self) -> Path:
        """The folder; of several datasets seen as one, the first one's."""
        ...

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def version(self) -> str:
        """Changes with the content; for `info` blocks."""
        ...

    @property
    def taxonomy(self) -> Taxonomy:
        """Every category that may occur."""
        ...

    @property
    def targets(self) -> frozenset[int]:
        """Ids of the categories that the dataset is about."""
        ...

    @property
    def splits(self) -> list[str]:
        """Split names in the order they are written."""
        ...

    @property
    def count(self) -> int:
        """Images to expect, for progress bars."""
        ...

    def samples(self) -> Iterator[SampleRecord]:
        """Every image's record, one at a time; `slot` ascends."""
        ...

    def image_file(self, record: SampleRecord) -> StoredFile:
        """The image's file, which may lie in a tar."""
        ...

    def stamp(self, record: SampleRecord) -> str:
        """Changes when the image, the mask or the instance map does."""
        ...

    def image(self, record: SampleRecord) -> Image:
        """(H, W, 3) uint8 sRGB."""
        ...

    def mask(self, record: SampleRecord) -> Mask:
        """(H, W) uint8 class ids."""
        ...

    def instances(self, record: SampleRecord) -> InstanceMap:
        """(H, W) uint16 instance ids, those of the record's instances; 0 elsewhere."""
        ...
