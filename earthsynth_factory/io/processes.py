"""Children that end when their parent does, and that Ctrl-C leaves to it."""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext

_PR_SET_PDEATHSIG = 1


@contextmanager
def spawning() -> Iterator[None]:
    """Hold while processes are started: they begin deaf to Ctrl-C, and the parent hears of it once this is left.

    A fresh interpreter that is interrupted while it imports, or whose parent is before it has said what to do, would end in
    a traceback of its own.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where a console's children are told by other means
        yield
        return
    resource_tracker.ensure_running()  # else the first start does it, and lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        with _put_off():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _put_off() -> Iterator[None]:
    """Deal with Ctrl-C at the end. A blocked one still comes if another thread takes it, as libraries have them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def warm_context(*modules: str) -> BaseContext:
    """How to start processes that need these modules: they are imported once, in a server that the others are forked from.

    If there is no such thing (Windows) each imports them. Only for modules that start no threads.
    """
    if "forkserver" not in mp.get_all_start_methods():
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context


def be_a_child() -> None:
    """First thing in a child: Ctrl-C is the parent's affair, and when the parent dies, however it does, so does this.

    Else a child of a killed command would go on writing while the same command runs again.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = mp.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Where the kernel does not tell of a parent's death: its end of a pipe closes with it."""
    wait([sentinel])
    os._exit(1)
