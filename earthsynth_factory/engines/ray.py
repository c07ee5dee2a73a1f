"""The engine of a Ray cluster: a worker for each GPU of any number of machines, made anew if it or its machine dies."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from earthsynth_factory import __version__
from earthsynth_factory.engines.base import AtNode, Engine, EngineTask, Item, Notice, Report
from earthsynth_factory.engines.ray_worker import RayWorker
from earthsynth_factory.errors import FactoryError, InputError, Interrupted, first_line

POLL_SECONDS = 0.5

REACHED_SECONDS = 10.0
"""This long the head of a cluster may take to answer; Ray itself would try for two minutes."""

LATER_SECONDS = 5.0
"""An item that somebody else is at is asked for again after this."""

WAIT_SECONDS = 30.0
"""This long nothing may be at work before the person at the terminal is told what is waited for."""

MOST_DEATHS = 5
"""As many workers may die at one item, or in a row before they are open; then the item is at fault, or memory is short."""


@dataclass(frozen=True)
class RayEngine(Engine):
    """address: of the cluster's head; `auto` is the cluster that this machine is part of. asked: how many workers; None for
    one for each (share of a) GPU, or machine if they get no GPUs, however many the cluster has. gpus: what each gets, 0 to 1.
    most: no more workers than this are of use. waits_for: what is said while all that is left is with somebody else.
    """

    address: str
    asked: int | None
    gpus: float
    device: str
    most: int
    waits_for: str = "waiting for what others are at"

    @property
    def workers(self) -> int | None:
        return self.asked and min(self.asked, self.most)

    def run(self, task: EngineTask[Item], items: Iterable[Item], report: Report, stop: threading.Event) -> None:
        with connected(self.address) as ray:
            _Cluster(ray, self, task, items, report, stop).run()

    def wanted(self, gpus: float, machines: int) -> int:
        """How many workers there are to be on a cluster of this many GPUs and machines."""
        found = self.asked or max(1, int(gpus / self.gpus) if self.gpus else machines)
        return min(found, self.most)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The library, connected to a cluster. Raises InputError if it is missing or the cluster cannot be reached."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError:
        raise InputError("`engine.kind: ray` needs Ray; pip install 'earthsynth-factory[ray]'") from None
    if ray.is_initialized():  # by the program that calls us
        yield ray
        return
    _check_reached(address)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise InputError(
            f"engine.address {address!r}: no Ray cluster that can be used ({first_line(error)}); `ray start --head` begins "
            "one, and on other machines `ray start --address=HEAD:6379` joins it, with the same versions of Ray and Python"
        ) from error
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():  # Ray has put its own in the place of ours
            signal.signal(number, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reached(address: str) -> None:
    """Raises InputError if nobody listens at an address."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(
            f"engine.address {address!r}: cannot be reached ({error}); is the cluster's head there (`ray status`)?"
        ) from error


HEARING = "hearing"
"""Ray's name for what a worker answers in a thread of its own."""


class _Worker:
    """A worker as the engine knows it. node: its machine's name once it is open. item: what it is at."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.node = ""
        self.item: Any = None
        self.asked: dict[Any, str] = {}
        """What it was asked for and has not answered → which method."""

    def ask(self, method: str, *arguments: Any) -> None:
        call = getattr(self.actor, method)
        if method == "hear":  # which is answered while it works
            call = call.options(concurrency_group=HEARING)
        self.asked[call.remote(*arguments)] = method


class _Cluster:
    """One run of a task on a cluster."""

    def __init__(
        self,
        ray: Any,
        engine: RayEngine,
        task: EngineTask[Any],
        items: Iterable[Any],
        report: Report,
        stop: threading.Event,
    ) -> None:
        self._ray, self._engine = ray, engine
        self._task = ray.put(task)
        self._items, self._left = iter(items), True
        self._later: deque[tuple[float, Any]] = deque()
        self._report, self._stop = report, stop
        self._workers: list[_Worker] = []
        self._names: dict[str, str] = {}
        self._deaths: Counter[Any] = Counter()
        self._failure: FactoryError | None = None
        self._idle_since = time.monotonic()
        wants = {"num_cpus": 1, "num_gpus": engine.gpus, "scheduling_strategy": "SPREAD"}
        self._actor = ray.remote(**wants, max_restarts=0, concurrency_groups={HEARING: 1})(RayWorker)

    def run(self) -> None:
        """Raises the first error of a worker, once the others have kept what they were making."""
        try:
            while self._busy() or (not self._ending() and (self._left or self._later)):
                self._man()
                self._deal()
                self._take_answers()
                self._tell_of_waiting()
            self._hear_the_rest()
        finally:
            for worker in self._workers:
                self._ray.kill(worker.actor)
        if self._failure:
            raise self._failure

    def _ending(self) -> bool:
        return self._stop.is_set() or self._failure is not None

    def _busy(self) -> bool:
        return any(worker.item is not None for worker in self._workers)

    def _man(self) -> None:
        """Start workers as long as there are too few."""
        if self._ending() or not (self._left or self._later):
            return
        machines = sum(node["Alive"] for node in self._ray.nodes())
        wanted = self._engine.wanted(self._ray.cluster_resources().get("GPU", 0.0), machines)
        for _ in range(wanted - len(self._workers)):
            worker = _Worker(self._actor.remote())
            worker.ask("open", self._task, self._engine.device, -(-wanted // max(1, machines)), __version__)
            worker.ask("hear", False)
            self._workers.append(worker)

    def _deal(self) -> None:
        """Give every worker that has nothing to do an item."""
        for worker in self._workers:
            if worker.node and worker.item is None and not self._ending():
                worker.item = self._next_item()
                if worker.item is None:
                    return
                worker.ask("work", worker.item)

    def _next_item(self) -> Any:
        if self._later and self._later[0][0] <= time.monotonic():
            return self._later.popleft()[1]
        item = next(self._items, None) if self._left else None
        self._left = item is not None
        return item

    def _take_answers(self) -> None:
        """Wait a while for answers, and take those that have come."""
        asked = {ref: worker for worker in self._workers for ref in worker.asked}
        if not asked:
            time.sleep(POLL_SECONDS)
            return
        self._ray.wait(list(asked), num_returns=1, timeout=POLL_SECONDS)
        ready, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        for ref in ready:
            if ref in asked[ref].asked:  # else the worker was found dead by another answer
                self._take(asked[ref], ref)

    def _take(self, worker: _Worker, ref: Any) -> None:
        method = worker.asked.pop(ref)
        try:
            answer = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            answer = _lacking(error)
            if answer is None:
                self._bury(worker, error)
                return
        if isinstance(answer, FactoryError):
            self._fail(worker, answer)
        elif method == "open":
            worker.node, self._deaths[None] = self._name_of(*answer), 0
        elif method == "work":
            self._done(worker, answer)
        else:
            self._hear(worker, answer)
            worker.ask("hear", self._ending())

    def _name_of(self, host: str, number: str) -> str:
        """What a machine is called; several of one name bear Ray's number."""
        name = self._names.setdefault(number, host)
        if [*self._names.values()].count(name) > 1:
            self._names[number] = name = f"{host}-{number[:4]}"
        return name

    def _done(self, worker: _Worker, done: bool) -> None:
        assert worker.item is not None
        if not done and not self._ending():
            self._later.append((time.monotonic() + LATER_SECONDS, worker.item))
        worker.item = None

    def _hear(self, worker: _Worker, told: list[Any]) -> None:
        for one in told:
            self._report(AtNode(worker.node, one))

    def _fail(self, worker: _Worker, error: FactoryError) -> None:
        """The first error ends the run; `str` of it tells the machine."""
        if self._failure is None:
            error.args = (f"{worker.node}: {error}" if worker.node else str(error), *error.args[1:])
            self._failure = error
        worker.item = None

    def _bury(self, worker: _Worker, error: Exception) -> None:
        """Forget a worker that died, or whose machine did; its item goes to another."""
        self._workers.remove(worker)
        worker.asked.clear()
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(worker.actor)  # it may only be out of reach
        item = worker.item if worker.node else None
        self._deaths[item] += 1
        if item is not None:
            self._later.appendleft((0.0, item))
        why = first_line(error, 120)
        if self._deaths[item] >= MOST_DEATHS:
            what = "while it opened" if item is None else f"at item {item}"
            self._failure = self._failure or Interrupted(
                f"{MOST_DEATHS} workers died {what} ({why}); often memory is short. Run the same command again: it goes on "
                "where it stopped, with fewer `engine.workers` or more GPUs for each (`engine.gpus`) if need be"
            )
        elif not self._ending():
            self._report(Notice(f"a worker{f' on {worker.node}' if worker.node else ''} died; another takes its place"))

    def _tell_of_waiting(self) -> None:
        """Say what is waited for if nothing is at work for a while."""
        if self._busy() or self._ending():
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > WAIT_SECONDS:
            self._idle_since = time.monotonic() + 10 * WAIT_SECONDS
            self._report(Notice(self._waited_for()))

    def _waited_for(self) -> str:
        if any(worker.node for worker in self._workers):
            return self._engine.waits_for
        total = self._ray.cluster_resources()
        return (
            f"waiting for the cluster: a worker wants 1 CPU and {self._engine.gpus:g} GPU, and it has "
            f"{total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs in all (`ray status` tells who has them; "
            "`engine.gpus: 0` asks for none)"
        )

    def _hear_the_rest(self) -> None:
        """What workers told since they were heard last."""
        for worker in self._workers:
            if worker.node:
                worker.ask("hear", True)
        refs = {ref: worker for worker in self._workers for ref, what in worker.asked.items() if what == "hear"}
        ready, _ = self._ray.wait(list(refs), num_returns=len(refs), timeout=REACHED_SECONDS) if refs else ([], [])
        for ref in ready:
            with suppress(self._ray.exceptions.RayError):
                self._hear(refs[ref], self._ray.get(ref))


def _lacking(error: Exception) -> InputError | None:
    """The error of a worker that cannot be loaded on its machine; None for any other."""
    lacks = re.search(r"No module named \S+|cannot import name .*", str(error))
    return lacks and InputError(
        f"a machine of the cluster lacks what the work needs ({lacks[0]}); install earthsynth-factory, in the same "
        "version and with the extra `ray`, on every machine"
    )
