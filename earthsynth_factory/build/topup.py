"""More for a build that is there, in place: more attempts for slots that were given up, more slots behind those it has.

Neither decides anything about a slot that was filled, so neither makes a folder another build. What is filled stays.
"""

from __future__ import annotations

from earthsynth_factory.build.set_aside import attempts_of, reopen
from earthsynth_factory.build.shard_journal import read_records
from earthsynth_factory.datasets.build.layout import ShardLayout, shard_slots
from earthsynth_factory.datasets.build.marker import read_marker
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import RejectRecord
from earthsynth_factory.io.atomic import remove
from earthsynth_factory.recipe.schema import RFilterBlock


def reopen_topped_up(store: BuildReader, rfilter: RFilterBlock) -> None:
    """Reopen every shard that is to have more slots, or has one that was given up after fewer attempts. Raises DiskError."""
    for number in range(store.shards[1]):
        reopen_shard(store.layout.shard(number), shard_slots(number, store.shard_size, store.count), rfilter)


def reopen_shard(layout: ShardLayout, slots: range, rfilter: RFilterBlock) -> None:
    """As `reopen_topped_up`, one shard. slots: those that it is to have."""
    marker = read_marker(layout)
    if marker and marker.slots[1] < slots.stop:
        remove(layout.marker)
    slot = None if marker and not marker.short else _first_to_go_on(layout, rfilter)
    if slot is not None:
        reopen(layout, slot)


def is_settled(layout: ShardLayout, slots: range, rfilter: RFilterBlock) -> bool:
    """Whether the shard is committed with all its slots, and none of them is to be tried again."""
    marker = read_marker(layout)
    if marker is None or marker.slots[1] < slots.stop:
        return False
    return not marker.short or _first_to_go_on(layout, rfilter) is None


def _first_to_go_on(layout: ShardLayout, rfilter: RFilterBlock) -> int | None:
    rejects = (record for _, record in read_records(layout.rejects, RejectRecord)[0] if record.short)
    return next((one.slot for one in rejects if attempts_of(one, rfilter.candidates) < rfilter.max_attempts), None)
