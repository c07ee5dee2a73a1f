"""Ctrl-C, once and again."""

from __future__ import annotations

import subprocess
import sys

import pytest

ABOUT = """
import os, signal, time
from earthsynth_factory.cli.ctrl_c import ending, interrupt_once

def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)

signal.signal(signal.SIGINT, {before})
interrupt_once()
try:
    {first}
except KeyboardInterrupt:
    print("stopped", flush=True)
    ctrl_c()
print("went on")
"""


@pytest.mark.parametrize(
    ("first", "before", "code", "said"),
    [
        ("ctrl_c()", "signal.default_int_handler", 3, "stopped\n"),
        ("ending(); ctrl_c()", "signal.default_int_handler", 3, ""),
        ("pass", "signal.default_int_handler", 0, "went on\n"),
        ("os.kill(os.getpid(), signal.SIGINT); ending()", "signal.SIG_IGN", 0, "went on\n"),
    ],
    ids=["a second one", "one at the end", "none", "a job in the background"],
)
def test_a_further_one_ends_the_process_without_a_traceback(first: str, before: str, code: int, said: str) -> None:
    script = ABOUT.replace("{first}", first).replace("{before}", before)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (code, said, "")


def test_one_before_the_command_begins_is_told_too() -> None:
    script = """
import signal
from earthsynth_factory import cli

def reading(**_):
    signal.raise_signal(signal.SIGINT)

cli.app = reading
signal.signal(signal.SIGINT, signal.default_int_handler)
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.strip() == "stopped; nothing that was finished is lost, and the same command may be given again"
