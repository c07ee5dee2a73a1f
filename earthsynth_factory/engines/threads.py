"""A worker's part of the processor, so that workers do not get in one another's way."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def share_threads(workers: int) -> None:
    """Leave this process, one of `workers`, its part of the threads that torch has in a lone one."""
    torch = sys.modules.get("torch")
    take_threads((_threads() if torch is None else torch.get_num_threads()) // workers)


def take_threads(count: int) -> None:
    """Have torch compute in so many threads, one at least.

    If it is not imported yet it finds them told when it is: to import it here would cost tasks that never do some seconds and
    600 MB.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        os.environ["OMP_NUM_THREADS"] = str(max(1, count))
    else:
        torch.set_num_threads(max(1, count))


def _threads() -> int:
    """How many torch takes by itself: what OpenMP is told, else one for each core, however many threads a core has."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) else _cores()


def _cores() -> int:
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    try:
        siblings = {
            Path(f"/sys/devices/system/cpu/cpu{one}/topology/thread_siblings_list").read_text() for one in usable
        }
    except OSError:
        return len(usable)
    return len(siblings)
