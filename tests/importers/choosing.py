"""What `prepare` would make of a folder, without preparing it."""

from __future__ import annotations

from pathlib import Path

from earthsynth_factory.importers.classes import read_map
from earthsynth_factory.importers.given_path import name_of, open_path
from earthsynth_factory.importers.readers import READERS
from earthsynth_factory.importers.recognise import choose_reader
from earthsynth_factory.importers.scene import Notes, Reader, ReadRequest, Source


def request(path: Path, mapping: Path | None = None) -> ReadRequest:
    notes = Notes()
    return ReadRequest(
        open_path(path, path.with_name(f"{path.name}.unpacked"), notes), name_of(path), read_map(mapping), notes
    )


def chosen(path: Path, kind: str = "auto", mapping: Path | None = None) -> tuple[Reader, str]:
    return choose_reader(request(path, mapping), READERS, kind)


def opened(path: Path, kind: str = "auto", mapping: Path | None = None) -> tuple[Source, Notes]:
    asked = request(path, mapping)
    reader, _ = choose_reader(asked, READERS, kind)
    return reader.open(asked), asked.notes
