"""Committed shards are looked at again: what was lost or changed since is reopened, so that the build makes it again."""

from __future__ import annotations

from collections.abc import Iterator

from earthsynth_factory.build.shard_journal import cut_journal, read_records
from earthsynth_factory.datasets.build.layout import ShardLayout
from earthsynth_factory.datasets.build.marker import marker_difference, read_marker
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.atomic import remove


def damages(store: BuildReader, digests: bool = False) -> Iterator[tuple[ShardLayout, str]]:
    """Every shard that has a marker and differs from it, with how. digests: compare contents too, not only sizes."""
    for number in range(store.shards[1]):
        layout = store.layout.shard(number)
        if not layout.marker.is_file():
            continue
        marker = read_marker(layout)
        fault = "a damaged marker" if marker is None else marker_difference(layout, marker, digests)
        if fault:
            yield layout, fault


def reopen_damaged(store: BuildReader, digests: bool = False) -> list[str]:
    """Reopen every such shard at its first sample that is lost; a sentence for each. Raises DiskError, StoreError."""
    notes = []
    for layout, fault in damages(store, digests):
        slot = _first_lost(store, layout)
        if layout.root.is_dir():
            for path in (layout.earlier_samples, layout.earlier_rejects):
                remove(path)  # of a topping-up that was killed as it began: no less doubtful than the rest
            cut_journal(
                layout, slot
            )  # before the marker goes, so that a kill between the two leaves the damage in sight
        remove(layout.marker)
        notes.append(f"shard {layout.root.name}: {fault}; made again from slot {slot}")
    return notes


def _first_lost(store: BuildReader, layout: ShardLayout) -> int:
    """The first sample whose files cannot be read. If all can be, none is above suspicion: the shard's first slot."""
    for _, record in read_records(layout.samples, SampleRecord)[0]:
        try:
            store.image(record), store.mask(record), store.instances(record)
        except SourceError:
            return record.slot
    return int(layout.root.name) * store.shard_size
