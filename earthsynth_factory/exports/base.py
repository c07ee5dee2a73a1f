"""The contract of an export format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.domain.spec import Field, Spec

KINDS = {
    "coco": "earthsynth_factory.exports.coco:CocoSpec",
    "coco-panoptic": "earthsynth_factory.exports.panoptic:PanopticSpec",
    "semantic": "earthsynth_factory.exports.semantic:SemanticSpec",
    "yolo-detect": "earthsynth_factory.exports.yolo:YoloDetectSpec",
    "yolo-segment": "earthsynth_factory.exports.yolo:YoloSegmentSpec",
    "yolo-obb": "earthsynth_factory.exports.yolo:YoloObbSpec",
    "dota": "earthsynth_factory.exports.dota:DotaSpec",
    "voc": "earthsynth_factory.exports.voc:VocSpec",
    "odvg": "earthsynth_factory.exports.odvg:OdvgSpec",
    "gsnet": "earthsynth_factory.exports.gsnet:GsnetSpec",
    "earthsynth": "earthsynth_factory.exports.earthsynth:EarthSynthSpec",
    "imagefolder": "earthsynth_factory.exports.imagefolder:ImageFolderSpec",
    "webdataset": "earthsynth_factory.exports.webdataset:WebDatasetSpec",
    "hf-parquet": "earthsynth_factory.exports.parquet:ParquetSpec",
    "geotiff": "earthsynth_factory.exports.geotiff:GeotiffSpec",
    "stac": "earthsynth_factory.exports.stac:StacSpec",
    "prepared": "earthsynth_factory.exports.prepared:PreparedSpec",
}
"""Formats that ship: kind → spec class. A new one is a file and a line here."""

Progress = Callable[[int], None]
"""Called with the number of samples written since the last call."""


@dataclass(frozen=True)
class ExportSummary:
    """What was written. counts: split → images. notes: sentences a user should read (what a format cannot hold)."""

    kind: str
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


Names = Annotated[tuple[str, ...], Field(min_length=1)]


class ExportSpec(Spec, ABC):
    """The block of an export format. Subclasses add `kind: Literal[...]`, their knobs, and `write`."""

    kind: str
    classes: Names | None = None
    """Names of the classes that the export has, all else is background; left out, those that `labels` says."""

    @abstractmethod
    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        """Write the whole store in this format into the empty folder `out`, streaming: memory stays flat.

        The caller makes `out` a temporary folder and renames it when this returns.
        """
