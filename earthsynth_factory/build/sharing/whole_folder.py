"""A build of the whole folder beside tasks that share it: it yields to the living, and takes in what the dead left."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from earthsynth_factory.build.plan import Plan
from earthsynth_factory.build.set_aside import settled_in
from earthsynth_factory.build.sharing.private_shard import copy_settled, discard, put_in_place
from earthsynth_factory.datasets.build.layout import WHOLE, BuildLayout, shard_slots
from earthsynth_factory.errors import FolderInUse
from earthsynth_factory.io.atomic import remove, sweep
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.jsonl import append_line, open_to_append, whole_lines
from earthsynth_factory.io.lease import DEAD_SECONDS, LeaseFile, leased, leases, live_leases

POLL_SECONDS = 1.0

SESSIONS, LOGS = "*.sessions.jsonl", "*.log"
"""What each task that shares the folder has of its own, until the build that finishes puts it together."""


@contextmanager
def whole_folder(layout: BuildLayout) -> Iterator[None]:
    """Hold every shard of a folder. Raises FolderInUse if a live task has one of them or another build has all."""
    try:
        with leased(layout.work, WHOLE) as lease:
            if lease is None:
                raise FolderInUse(f"{layout.root}: another build is writing here; wait for it or choose another --out")
            if tasks := _tasks(live_leases(layout.work)):
                raise _in_use(layout, tasks)
            yield
    finally:
        with suppress(OSError):
            layout.work.rmdir()


def await_sharers(layout: BuildLayout, tell: Callable[[str], None]) -> None:
    """Wait until every task that seems to be at work is known to be dead; nothing is written but a probe of the clock.

    Raises FolderInUse as soon as one is known to live.
    """
    first = _tasks(live_leases(layout.work))
    if any(lease.holder and lease.holder.gone is False for lease in first):
        raise _in_use(layout, first)
    if first:
        tell(f"waiting for {_these(first)}: without a sign of life for {DEAD_SECONDS:.0f} s they are dead")
    beats = {lease.path: lease.beat for lease in first}
    while tasks := _tasks(live_leases(layout.work)):
        if any(beats.get(lease.path) != lease.beat for lease in tasks):
            raise _in_use(layout, tasks)
        time.sleep(POLL_SECONDS)


def bring_in(layout: BuildLayout, plan: Plan, shard_size: int) -> None:
    """Take in what tasks left of shards that are not committed; only for who holds all of them. Raises DiskError."""
    for number, left in layout.private_shards().items():
        final, slots = layout.shard(number), shard_slots(number, shard_size, len(plan))
        best = max(left, key=settled_in)
        if not final.marker.is_file() and settled_in(best) > settled_in(final):
            mine = layout.private_shard(number, secrets.token_hex(6))
            copy_settled(best, mine, slots)
            put_in_place(layout, number, mine)
        discard(layout, number)


def clear(layout: BuildLayout) -> None:
    """Put together what tasks logged, and remove what they left; only for who holds all shards. Raises DiskError."""
    if not layout.work.is_dir():
        return
    for pattern, together in ((SESSIONS, layout.sessions), (LOGS, layout.log)):
        for path in sorted(layout.work.glob(pattern)):
            with open_to_append(together) as file:
                append_line(file, b"".join(whole_lines(write_below(path, layout.root))), together)
            remove(path)
    for lease in leases(layout.work).values():
        if lease.key != WHOLE:
            for path in layout.work.glob(f"{lease.key}.*.lease"):
                remove(path)
    for path in layout.work.glob("*.json"):
        remove(path)
    sweep(layout.work)


def _tasks(found: dict[str, LeaseFile]) -> list[LeaseFile]:
    return [lease for key, lease in found.items() if key != WHOLE]


def _in_use(layout: BuildLayout, tasks: list[LeaseFile]) -> FolderInUse:
    return FolderInUse(
        f"{layout.root}: {_these(tasks)}, with `--shard` or on a cluster; wait for them or end them, then give the same "
        "command again"
    )


def _these(tasks: list[LeaseFile]) -> str:
    """The tasks in words: how many, and one of them by name."""
    known = next((str(lease.holder) for lease in tasks if lease.holder), "unknown")
    others = f"({known}{', …' if len(tasks) > 1 else ''})"
    held = sum(lease.key.isdigit() for lease in tasks)  # else it is one who gives out shards
    if not held:
        return f"shards are being given out {others}"
    shards = "1 shard that is" if held == 1 else f"{held} shards that are"
    return f"{shards} being made by other tasks {others}"
