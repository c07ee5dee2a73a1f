"""Death in the midst of work."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
from pathlib import Path


def kill_a_worker() -> None:
    """SIGKILL one of the processes that this one has begun and that are still at work."""
    killed = mp.active_children()[0].pid
    assert killed
    os.kill(killed, signal.SIGKILL)


def leave_half_written(out: Path) -> None:
    """Beside every file, what a process leaves that dies while it writes one there."""
    for folder in {path.parent for path in out.rglob("*") if path.is_file()}:
        (folder / ".0123456789ab.esf-tmp").write_bytes(b'{"half": ')
