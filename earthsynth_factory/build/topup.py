"""More attempts for a build that ended short: slots that were given up go on, in place.

`max_attempts` decides nothing about a slot that was filled, so it is no part of what makes a folder another build. A shard
with a slot that may now go on is reopened there: what is behind it is made again, to the same bytes on a CPU. (Only if
the old `max_attempts` was no multiple of `candidates` may a slot behind it be filled by another image of its last condition.)
"""

from __future__ import annotations

from earthsynth_factory.build.shard_journal import cut, read_lines
from earthsynth_factory.datasets.build.layout import ShardLayout
from earthsynth_factory.datasets.build.marker import read_marker
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import RejectRecord
from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.io.atomic import disk_error
from earthsynth_factory.recipe.schema import RFilterBlock


def reopen_short(store: BuildReader, rfilter: RFilterBlock) -> int:
    """Reopen every shard at the first slot that was given up after fewer attempts; how many. Raises DiskError."""
    found = 0
    for number in range(store.shards[1]):
        layout = store.layout.shard(number)
        marker = read_marker(layout)
        slot = _first_to_go_on(layout, rfilter) if marker and marker.short else None
        if slot is None:
            continue
        found += 1
        cut(layout, slot)  # before the marker goes, so that a kill between the two leaves the difference in sight
        try:
            layout.marker.unlink()
        except OSError as error:
            raise disk_error(layout.marker, error) from error
    return found


def _first_to_go_on(layout: ShardLayout, rfilter: RFilterBlock) -> int | None:
    rejects = (record for _, record in read_lines(layout.rejects, RejectRecord)[0] if record.short)
    return next((record.slot for record in rejects if _tried(record, rfilter) < rfilter.max_attempts), None)


def _tried(last: RejectRecord, rfilter: RFilterBlock) -> int:
    """Attempts of a slot up to its last record; a condition that could not be drawn used up those of its images."""
    if last.outcome is Outcome.UNDRAWN:
        return (last.attempt // rfilter.candidates + 1) * rfilter.candidates
    return last.attempt + 1
