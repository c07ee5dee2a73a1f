"""A build on a Ray cluster of several nodes on this machine: whoever is killed, the dataset is the one of a local build."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe

MANY = RECIPE.replace("count: 14", "count: 1100").replace("shard_size: 7", "shard_size: 11")
KILLS = 24
OTHERS = ("run.json",)
"""Holds the recipe with its engine; all else is the same to the byte."""


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A Ray cluster of this many nodes on this machine, of one processor each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args=dict(NODE, include_dashboard=False))
    try:
        for _ in range(nodes - 1):
            found.add_node(**NODE)
        yield found
    finally:
        found.shutdown()


NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


def on(cluster: Any) -> list[str]:
    """Changes of a recipe that is to be built there."""
    return ["engine.kind=ray", f"engine.address={cluster.address}"]


def start(recipe: Path, out: Path, cluster: Any, log: Path) -> subprocess.Popen[bytes]:
    words = [word for change in on(cluster) for word in ("--set", change)]
    command = [sys.executable, "-m", "earthsynth_factory", "build", str(recipe), "--out", str(out), *words]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)


def workers(out: Path) -> list[int]:
    """Processes that have a shard."""
    found = []
    for path in (out / "work").glob("0*.lease"):
        with suppress(OSError, ValueError):
            found.append(int(json.loads(path.read_bytes())["pid"]))
    return [pid for pid in found if Path(f"/proc/{pid}").exists()]


class Markers(threading.Thread):
    """Looks at the commit markers all the time: once there, one never changes."""

    def __init__(self, layout: BuildLayout) -> None:
        super().__init__(daemon=True)
        self.layout, self.seen, self.faults, self.done = layout, {}, [], threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.02):
            there = {path.name: path.stat() for path in self.layout.shards.glob("*.json")}
            now = {name: (found.st_ino, found.st_mtime_ns) for name, found in there.items()}
            self.faults += [name for name, what in self.seen.items() if now.get(name) != what]
            self.seen |= now


def await_work(out: Path, driver: subprocess.Popen[bytes]) -> bool:
    """Wait until a shard is being made; whether it is."""
    ends = time.monotonic() + 90
    while driver.poll() is None and time.monotonic() < ends:
        if workers(out):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.cluster
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("nodes", "store"), [(2, ""), (3, ""), (2, "store: {pack: true}\n")], ids=["2", "3", "packed"])
def test_nodes_workers_and_drivers_killed_at_random_make_the_local_dataset(
    tmp_path: Path, nodes: int, store: str
) -> None:
    recipe, out, log, chance = (
        write_recipe(tmp_path, MANY + store),
        tmp_path / "out",
        tmp_path / "log.txt",
        random.Random(nodes),
    )
    run_build(recipe, tmp_path / "whole")
    killed = {"node": 0, "worker": 0, "driver": 0}
    watcher = Markers(BuildLayout(out))
    watcher.start()
    with cluster(nodes) as found:
        driver = start(recipe, out, found, log)
        others = list(found.worker_nodes)
        while sum(killed.values()) < KILLS and await_work(out, driver):
            time.sleep(chance.uniform(0.0, 0.7))
            what = chance.choice(["node", "worker", "worker", "driver"])
            if what == "node":
                found.remove_node(others.pop(chance.randrange(len(others))), allow_graceful=False)
                others.append(found.add_node(**NODE))
            elif what == "driver":
                driver.kill()
                driver.wait()
                driver = start(recipe, out, found, log)
            elif there := workers(out):
                os.kill(chance.choice(there), signal.SIGKILL)
            else:
                continue
            killed[what] += 1
        assert driver.wait(600) == 0, log.read_text()[-2000:]
    watcher.done.set()
    watcher.join()
    assert sum(killed.values()) >= 20 and all(killed.values()), f"the build was done too soon: {killed}"
    assert tree_hash(out, OTHERS) == tree_hash(tmp_path / "whole", OTHERS)
    assert watcher.seen and not watcher.faults, "a shard was committed twice"
    slots = [record.slot for record in BuildReader(out).samples()]
    assert slots == sorted(set(slots))
    print(killed)


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_ctrl_c_drains_and_the_same_command_goes_on(tmp_path: Path) -> None:
    recipe, out, log = write_recipe(tmp_path, MANY), tmp_path / "out", tmp_path / "log.txt"
    run_build(recipe, tmp_path / "whole")
    with cluster(2) as found:
        for number in (signal.SIGINT, signal.SIGTERM):
            driver = start(recipe, out, found, log)
            assert await_work(out, driver)
            time.sleep(0.5)
            driver.send_signal(number)
            assert driver.wait(60) == 3, log.read_text()
            assert not workers(out), "who drained has let go of its shard"
        assert "stopped with everything kept" in log.read_text()
        assert not (out / "report").exists(), "neither ran to its end"
        assert start(recipe, out, found, log).wait(240) == 0, log.read_text()
    assert tree_hash(out, OTHERS) == tree_hash(tmp_path / "whole", OTHERS)
    nodes = [json.loads(line).get("nodes", {}) for line in (out / "sessions.jsonl").read_text().splitlines()]
    assert max(len(found) for found in nodes) == 2, "both machines made images"
