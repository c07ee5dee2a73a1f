"""Processes that are started while Ctrl-C may come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from earthsynth_factory.io.processes import spawning

SCRIPT = """
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from earthsynth_factory.io.processes import spawning, warm_context

def deaf():
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

if __name__ == "__main__":
    with ProcessPoolExecutor(2, {context}) as pool:
        with spawning():
            futures = [pool.submit(deaf) for _ in range(2)]
            print("here", deaf())
        print("there", [future.result() for future in futures], "after", deaf())
"""


@pytest.mark.parametrize("context", ['get_context("spawn")', 'warm_context("json")'])
def test_processes_begin_deaf_to_ctrl_c(context: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SCRIPT.replace("{context}", context))
    done = subprocess.run([sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["here True", "there [True, True] after False"]


FIRST = """
import signal
from multiprocessing import get_context
from earthsynth_factory.io.processes import spawning

def deaf():
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))

if __name__ == "__main__":
    process = get_context("spawn").Process(target=deaf)
    with spawning():
        process.start()
    process.join()
"""


def test_the_first_process_of_all_is_deaf_too(tmp_path: Path) -> None:
    """Python starts its resource tracker with it, and lifts every block after that."""
    (tmp_path / "program.py").write_text(FIRST)
    done = subprocess.run([sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_ctrl_c_is_heard_afterwards_even_if_another_thread_takes_it() -> None:
    """A library's thread does not block the signal; Python then runs the handler in the main thread all the same."""
    ready, leave = threading.Event(), threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    library = threading.Thread(target=lambda: (ready.set(), leave.wait(30)))
    library.start()
    done = False
    try:
        ready.wait(30)
        with pytest.raises(KeyboardInterrupt), spawning():
            os.kill(os.getpid(), signal.SIGINT)
            done = sum(range(10_000)) > 0  # time enough for the handler to run
    finally:
        leave.set()
        library.join()
        after = signal.signal(signal.SIGINT, before)
    assert done, "what is inside is not interrupted"
    assert after is signal.default_int_handler
