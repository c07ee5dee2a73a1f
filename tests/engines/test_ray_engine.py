"""What the Ray engine does when workers die, have to wait or fail; on a stand-in of Ray's few words, without a cluster."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from earthsynth_factory.build.filling import WAITS_FOR, _engine
from earthsynth_factory.engines import ray as module
from earthsynth_factory.engines import ray_worker
from earthsynth_factory.engines.base import AtNode, Notice, Report
from earthsynth_factory.engines.ray import RayEngine
from earthsynth_factory.errors import FactoryError, InputError, Interrupted, RecipeError
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import run_build, write_recipe


class Died(Exception):  # noqa: N818  # no fault
    """As Ray's error of an actor that is gone."""


class StandIn(ModuleType):
    """Ray's words that the engine uses; an actor is an object with a thread for each group of its methods."""

    def __init__(self, gpus: float = 0, machines: int = 2) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayError=Died)
        self.gpus, self.machines, self.actors = gpus, machines, 0

    def remote(self, **_: Any) -> Callable[[type], Any]:
        return lambda kind: SimpleNamespace(remote=lambda: Actor(kind()))

    def put(self, value: Any) -> Any:
        return value

    def get(self, future: Future[Any]) -> Any:
        return future.result()

    def kill(self, actor: Actor) -> None:
        actor.dead = True

    def wait(self, futures: list[Future[Any]], num_returns: int, timeout: float) -> tuple[list[Future[Any]], None]:
        done, _ = wait(futures, timeout, FIRST_COMPLETED if num_returns == 1 else "ALL_COMPLETED")
        return list(done), None

    def nodes(self) -> list[dict[str, bool]]:
        return [{"Alive": True}] * self.machines

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0, "GPU": self.gpus}

    def is_initialized(self) -> bool:
        return True

    def get_runtime_context(self) -> Any:
        self.actors += 1
        return SimpleNamespace(get_node_id=lambda: f"{self.actors:032x}"[::-1])


class Actor:
    def __init__(self, worker: Any) -> None:
        self.dead, self._worker = False, worker
        self._threads = {name: ThreadPoolExecutor(1) for name in ("work", "hear")}

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Future[Any]:
            threads = self._threads["hear" if name == "hear" else "work"]
            return threads.submit(self._answer, name, arguments)

        return SimpleNamespace(remote=call, options=lambda **_: SimpleNamespace(remote=call))

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if self.dead:
            raise Died("gone")
        return getattr(self._worker, name)(*arguments)


@dataclass
class Work:
    """Tells of each item. deaths: item (None: opening) → how often its worker dies. busy: item → how often others have it."""

    deaths: Counter[int | None] = field(default_factory=Counter)
    busy: Counter[int] = field(default_factory=Counter)
    error: Exception | None = None
    until_stopped: bool = False
    done: list[int] = field(default_factory=list)

    def open(self, device: str, report: Report) -> Callable[[int, threading.Event], bool]:
        self._die(None)

        def work(item: int, stop: threading.Event) -> bool:
            self._die(item)
            if self.error:
                raise self.error
            if self.until_stopped:
                stop.wait(20)
            self.busy[item] -= 1
            if self.busy[item] >= 0:
                return False
            self.done.append(item)
            report((device, item))
            return True

        return work

    def _die(self, item: int | None) -> None:
        self.deaths[item] -= 1
        if self.deaths[item] >= 0:
            raise Died("killed")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn()
    monkeypatch.setitem(sys.modules, "ray", found)
    monkeypatch.setattr(ray_worker, "HEARD_SECONDS", 0.01)
    monkeypatch.setattr(ray_worker, "failure", _failure)
    monkeypatch.setattr(ray_worker, "take_threads", lambda beside: None)
    monkeypatch.setattr(module, "LATER_SECONDS", 0.05)
    return found


def _failure(error: Exception) -> FactoryError:
    if isinstance(error, Died):
        raise error
    return error if isinstance(error, FactoryError) else FactoryError(str(error))


def run(work: Work, items: int = 9, stop: threading.Event | None = None, **engine: Any) -> list[Any]:
    told: list[Any] = []
    found = RayEngine(**{"address": "auto", "asked": None, "gpus": 0.0, "device": "cpu", "most": items, **engine})
    found.run(work, iter(range(items)), told.append, stop or threading.Event())
    return told


def test_what_dead_workers_were_at_is_done_by_others(ray: StandIn) -> None:
    work = Work(deaths=Counter({None: 2, 3: 4, 8: 1}))
    told = run(work)
    assert sorted(work.done) == list(range(9))
    assert sum(isinstance(one, Notice) for one in told) == 7
    assert ray.actors == 2 + 5, "each that died open is replaced by one more"


@pytest.mark.parametrize(("item", "words"), [(None, "while it opened"), (4, "at item 4")])
def test_what_kills_every_worker_ends_the_run(ray: StandIn, item: int | None, words: str) -> None:
    with pytest.raises(Interrupted, match=f"5 workers died {words} .* fewer `engine.workers`"):
        run(Work(deaths=Counter({item: 99})))


def test_items_that_others_have_are_asked_for_again(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    told = run(Work(busy=Counter({2: 3, 5: 1})))
    assert sorted(one.told for one in told if isinstance(one, AtNode)) == [("cpu", item) for item in range(9)]
    assert any("waiting for" in one.text for one in told if isinstance(one, Notice))


def test_the_first_error_ends_the_run_and_names_the_machine(ray: StandIn) -> None:
    with pytest.raises(InputError, match=r"^([\w.-]+: )no such weights$"):
        run(Work(error=InputError("no such weights")))


def test_workers_of_another_version_are_refused(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__version__", "9.9")
    with pytest.raises(InputError, match=r"started with 9\.9; install the same version on all machines"):
        run(Work())


def test_a_machine_without_the_package_ends_the_run(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(_: str) -> None:
        raise Died("died in its creation\nModuleNotFoundError: No module named 'earthsynth_factory.engines'")

    monkeypatch.setattr(ray_worker, "take_threads", lack)
    with pytest.raises(InputError, match=r"lacks what the work needs \(No module named 'earthsynth_factory.engines'\)"):
        run(Work())


def test_a_stop_is_heard_while_workers_work(ray: StandIn) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    told = run(Work(until_stopped=True), stop=stop)
    assert sorted(one.told for one in told) == [("cpu", 0), ("cpu", 1)], "what is in the making is kept, and no more"
    assert len({one.node for one in told}) == 2, "machines of one name bear Ray's number"


@pytest.mark.parametrize(
    ("asked", "gpus", "most", "found"), [(None, 1.0, 99, 8), (None, 0.5, 99, 16), (None, 0.0, 99, 3), (4, 1.0, 2, 2)]
)
def test_as_many_workers_as_the_cluster_has_room_for(asked: int | None, gpus: float, most: int, found: int) -> None:
    assert RayEngine("auto", asked, gpus, "auto", most).wanted(8.0, 3) == found


def test_the_recipe_says_which_engine(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    changes = ["engine.kind=ray", "engine.address=10.0.0.7:6379"]
    assert _engine(load_recipe(recipe, changes).recipe, 9) == RayEngine("10.0.0.7:6379", None, 0.0, "cpu", 9, WAITS_FOR)
    with pytest.raises(RecipeError, match="are of a cluster; add `kind: ray`"):
        load_recipe(recipe, ["engine.gpus=0.5"])
    with pytest.raises(RecipeError, match=r"engine\.address"):
        load_recipe(recipe, ["engine.kind=ray", "engine.address=ray://head:10001"])


def test_without_the_extra_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"needs Ray; pip install 'earthsynth-factory\[ray\]'"):
        run_build(write_recipe(tmp_path), tmp_path / "out", "engine.kind=ray")


def test_an_address_at_which_nobody_listens(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InputError, match="cannot be reached"):
        run(Work(), address="127.0.0.1:1")
