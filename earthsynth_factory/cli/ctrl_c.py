"""Ctrl-C at a command: it says once that it stops, and a further one ends it without a traceback."""

from __future__ import annotations

import os
import signal
from types import FrameType

from earthsynth_factory.errors import Interrupted


def interrupt_once() -> None:
    """Ctrl-C interrupts this process; a further one while that is dealt with ends it as it stands.

    Not if somebody else decides on Ctrl-C: a background job ignores it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def ending() -> None:
    """From here on Ctrl-C finds nothing to interrupt: it ends the process as it stands. Only after `interrupt_once`."""
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, _end)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _end)
    raise KeyboardInterrupt


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(Interrupted.exit_code)
