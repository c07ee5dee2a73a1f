"""Images in an export: hard links to the masters, copies (always of packed ones), or none.

A hard link is the master under another name: editing an exported image in place would change the master. Tools that
write a new file and rename it are safe; for those that do not, there is `images: copy`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.io.provenance import source_type_of
from earthsynth_factory.io.stored import StoredFile

Images = Literal["link", "copy", "none"]
"""`link`: hard links, which cost no space; copies of packed masters, or if the file system has none. `none`: labels alone."""


def put_image(source: StoredFile, target: Path, images: Images) -> None:
    """Bring an image into an export. Raises DiskError if the disk refuses."""
    if images != "none":
        source.put(target, link=images == "link")


def put_png(store: LabelledDataset, record: SampleRecord, target: Path, images: Images) -> None:
    """As `put_image`, for formats whose readers ask for PNG: any other image is written as one, with the same pixels, saying
    of itself what it said.
    """
    source = store.image_file(record)
    if source.suffix.lower() == ".png" or images == "none":
        put_image(source, target, images)
    else:
        write_bytes(target, encode_png(store.image(record), source=source_type_of(source)), durable=False)
