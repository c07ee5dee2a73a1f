"""Real datasets → EarthSynth's mask layout, one reader a source. `base` tells what such a folder holds."""

from __future__ import annotations

from earthsynth_factory.importers.base import DatasetWriter, Importer, ImportSummary
from earthsynth_factory.importers.dubai import Dubai
from earthsynth_factory.importers.gid import Gid
from earthsynth_factory.importers.kit_ais import KitAis
from earthsynth_factory.importers.nwpu import Nwpu

IMPORTERS: dict[str, Importer] = {reader.name: reader for reader in (Dubai(), KitAis(), Nwpu(), Gid())}
"""Every source that can be imported, by the word the command line and recipes use for it."""

__all__ = ["IMPORTERS", "DatasetWriter", "ImportSummary", "Importer"]
