"""Death in the midst of work."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal


def kill_a_worker() -> None:
    """SIGKILL one of the processes that this one has begun and that are still at work."""
    killed = mp.active_children()[0].pid
    assert killed
    os.kill(killed, signal.SIGKILL)
