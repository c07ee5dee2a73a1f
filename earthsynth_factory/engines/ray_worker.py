"""What runs on a machine of a Ray cluster: one worker of a task, asked from afar."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from earthsynth_factory import __version__
from earthsynth_factory.engines.base import EngineTask, failure
from earthsynth_factory.engines.threads import take_threads
from earthsynth_factory.errors import FactoryError, InputError

HEARD_SECONDS = 0.5
"""What a worker has to tell is fetched at most this often."""


class RayWorker:
    """A task in a process of its own. `work` and `hear` are called side by side. Nothing raises: errors are answers."""

    def __init__(self) -> None:
        self._told: list[Any] = []
        self._stop = threading.Event()
        self._work: Callable[[Any, threading.Event], bool] | None = None

    def open(self, task: EngineTask[Any], device: str, beside: int, version: str) -> tuple[str, str] | FactoryError:
        """The machine's name and Ray's number of it, once the task is ready on a device. beside: workers of this machine.
        version: the caller's of this package.
        """
        import ray

        try:
            if version != __version__:
                raise InputError(
                    f"has earthsynth-factory {__version__}, and the command was started with {version}; install the same "
                    "version on all machines"
                )
            take_threads((os.cpu_count() or 1) // beside)  # Ray itself gives each process one
            self._work = task.open(device, self._told.append)
        except Exception as error:
            return failure(error)
        return socket.gethostname(), ray.get_runtime_context().get_node_id()

    def work(self, item: Any) -> bool | FactoryError:
        """Do an item; whether it is done."""
        assert self._work, "the worker is not open"
        try:
            return self._work(item, self._stop)
        except Exception as error:
            return failure(error)

    def hear(self, stop: bool) -> list[Any]:
        """What was told since the last time. stop: whether `work` is to return early from now on."""
        if stop:
            self._stop.set()
        time.sleep(HEARD_SECONDS)
        told = self._told[:]
        del self._told[: len(told)]
        return told
