"""The three files of a sample, wherever they lie: each on its own in the shard's folders, or in the shard's tar.

Nobody else need know which. Both are looked at, so that a shard may be packed and unpacked while it is read.
"""

from __future__ import annotations

from earthsynth_factory.datasets.build.layout import ShardLayout
from earthsynth_factory.datasets.build.packed import PackedSample, read_index
from earthsynth_factory.io.stored import StoredFile

Masters = tuple[StoredFile, StoredFile, StoredFile]


def masters(layout: ShardLayout, stem: str) -> Masters:
    """Image, mask and instance map of a sample; they may be missing. Raises SourceError for a tar elsewhere."""
    sample = _packed(layout, stem)
    if sample is None:
        image, mask, instances = map(StoredFile, layout.masters(stem))
    else:
        image, mask, instances = (StoredFile(layout.packed, member) for member in sample.members)
    return image, mask, instances


def has_masters(layout: ShardLayout, stem: str) -> bool:
    """Whether the three files of a sample are there and hold something."""
    sample = _packed(layout, stem)
    return all(sample.sizes) if sample else all(file.is_file() and file.size for file in masters(layout, stem))


def _packed(layout: ShardLayout, stem: str) -> PackedSample | None:
    """Where the sample lies in the shard's tar; None if there is no tar, or it does not have it."""
    try:
        return read_index(layout.packed, layout.dataset).find(int(stem)) if stem.isdigit() else None
    except (OSError, ValueError):
        return None
