"""Every dataset format that `prepare` reads: one file a format, one line here."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.errors import InputError
from earthsynth_factory.importers.readers.coco import Coco
from earthsynth_factory.importers.readers.deepglobe import DeepGlobe
from earthsynth_factory.importers.readers.dior import Dior
from earthsynth_factory.importers.readers.dota import Dota
from earthsynth_factory.importers.readers.dubai import Dubai
from earthsynth_factory.importers.readers.earthsynth180k import EarthSynth180K
from earthsynth_factory.importers.readers.gid import Gid
from earthsynth_factory.importers.readers.isaid import Isaid
from earthsynth_factory.importers.readers.kit_ais import KitAis
from earthsynth_factory.importers.readers.lae import Lae
from earthsynth_factory.importers.readers.loveda import LoveDa
from earthsynth_factory.importers.readers.masks import Masks
from earthsynth_factory.importers.readers.nwpu import Nwpu
from earthsynth_factory.importers.readers.openearthmap import OpenEarthMap
from earthsynth_factory.importers.readers.samrs import Samrs
from earthsynth_factory.importers.readers.voc import Voc
from earthsynth_factory.importers.readers.yolo import Yolo
from earthsynth_factory.importers.scene import Reader

NAMED: dict[str, Reader] = {
    reader.kind: reader
    for reader in (
        EarthSynth180K(),
        OpenEarthMap(),
        LoveDa(),
        DeepGlobe(),
        Samrs(),
        Lae(),
        Dota(),
        Dior(),
        Isaid(),
        Dubai(),
        Gid(),
        KitAis(),
        Nwpu(),
    )
}
"""Published datasets, each in its own layout."""

GENERAL: dict[str, Reader] = {reader.kind: reader for reader in (Coco(), Yolo(), Voc(), Masks())}
"""Formats that any dataset may be in; a published dataset is looked for first."""

READERS = NAMED | GENERAL


def choose(path: Path, kind: str = "auto") -> tuple[Reader, str]:
    """The reader for `path`, and why. Raises `InputError` where `kind` is unknown, nothing fits, or several do."""
    if kind != "auto":
        if kind not in READERS:
            raise InputError(f"--kind {kind}: not a known kind; one of auto, {', '.join(READERS)}")
        return READERS[kind], f"{kind}: as asked"
    for readers in (NAMED, GENERAL):
        found = {name: why for name, reader in readers.items() if (why := reader.recognise(path))}
        if len(found) == 1:
            name, why = found.popitem()
            return readers[name], f"{name}: {why}"
        if found:
            reasons = "\n".join(f"  {name}: {why}" for name, why in found.items())
            raise InputError(f"{path}: may be of several kinds; say which with --kind\n{reasons}")
    raise InputError(
        f"{path}: of no kind that is known ({', '.join(READERS)}). Give the dataset's top folder, or say --kind; "
        "plain masks need images/, masks/ and a class table (classes.json or --map)"
    )


__all__ = ["GENERAL", "NAMED", "READERS", "choose"]
