"""Every dataset format that `prepare` reads: one file a format, one line here."""

from __future__ import annotations

from earthsynth_factory.importers.readers.coco import Coco
from earthsynth_factory.importers.readers.cvat import Cvat
from earthsynth_factory.importers.readers.deepglobe import DeepGlobe
from earthsynth_factory.importers.readers.dior import Dior
from earthsynth_factory.importers.readers.dota import Dota
from earthsynth_factory.importers.readers.dubai import Dubai
from earthsynth_factory.importers.readers.earthsynth180k import EarthSynth180K
from earthsynth_factory.importers.readers.fair1m import Fair1m
from earthsynth_factory.importers.readers.gid import Gid
from earthsynth_factory.importers.readers.hrsc2016 import Hrsc2016
from earthsynth_factory.importers.readers.isaid import Isaid
from earthsynth_factory.importers.readers.kit_ais import KitAis
from earthsynth_factory.importers.readers.label_studio import LabelStudio
from earthsynth_factory.importers.readers.labelme import Labelme
from earthsynth_factory.importers.readers.lae import Lae
from earthsynth_factory.importers.readers.landdiscover import LandDiscover
from earthsynth_factory.importers.readers.loveda import LoveDa
from earthsynth_factory.importers.readers.masks import Masks
from earthsynth_factory.importers.readers.nwpu import Nwpu
from earthsynth_factory.importers.readers.odvg import Odvg
from earthsynth_factory.importers.readers.openearthmap import OpenEarthMap
from earthsynth_factory.importers.readers.panoptic import Panoptic
from earthsynth_factory.importers.readers.prepared import Prepared
from earthsynth_factory.importers.readers.samrs import Samrs
from earthsynth_factory.importers.readers.ucas_aod import UcasAod
from earthsynth_factory.importers.readers.vectors import Vectors
from earthsynth_factory.importers.readers.via import Via
from earthsynth_factory.importers.readers.visdrone import VisDrone
from earthsynth_factory.importers.readers.voc import Voc
from earthsynth_factory.importers.readers.xbd import Xbd
from earthsynth_factory.importers.readers.xview import XView
from earthsynth_factory.importers.readers.yolo import Yolo
from earthsynth_factory.importers.scene import Reader

_NAMED = (
    Prepared(),
    EarthSynth180K(),
    LandDiscover(),
    OpenEarthMap(),
    LoveDa(),
    DeepGlobe(),
    Samrs(),
    Lae(),
    Dior(),
    Isaid(),
    Fair1m(),
    Hrsc2016(),
    XView(),
    Xbd(),
    VisDrone(),
    UcasAod(),
    Dubai(),
    Gid(),
    KitAis(),
    Nwpu(),
)
"""Published datasets, each by marks of its own."""

_GENERAL = (
    Coco(),
    Panoptic(),
    Yolo(),
    Voc(),
    Masks(),
    Dota(),
    Odvg(),
    Cvat(),
    LabelStudio(),
    Labelme(),
    Via(),
    Vectors(),
)
"""Forms that any dataset may be in."""

READERS: dict[str, Reader] = {reader.kind: reader for reader in (*_NAMED, *_GENERAL)}

__all__ = ["READERS"]
