"""Processes that are started while Ctrl-C may come."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from earthsynth_factory.io.processes import spawning, warm_context

def deaf(_=None):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

if __name__ == "__main__":
    with ProcessPoolExecutor(2, {context}) as pool:
        with spawning():
            futures = [pool.submit(deaf) for _ in range(2)]
            print("here", deaf())
        print("there", [future.result() for future in futures], "after", deaf())
"""


@pytest.mark.parametrize("context", ['get_context("spawn")', 'warm_context("json")'])
def test_processes_begin_deaf_to_ctrl_c(context: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A fresh interpreter that is interrupted while it imports would end in a traceback of its own."""
    (tmp_path / "program.py").write_text(SCRIPT.replace("{context}", context))
    done = subprocess.run([sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["here True", "there [True, True] after False"]
