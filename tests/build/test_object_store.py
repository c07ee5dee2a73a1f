"""Builds into an object store that fails now and then, by tasks that are killed: the dataset is the one of a local build."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.io.mirror import Mirror
from earthsynth_factory.io.objects import ObjectAddress
from tests.build.building import RECIPE, run_build, tree_hash, write_recipe
from tests.conditions.folders import DATA
from tests.object_services import SCHEMES, SECRET, Faulty, check_installed, files, lead_nowhere, object_service

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

MANY = RECIPE.replace("count: 14", "count: 60")
KILLS = 10


@pytest.fixture(params=SCHEMES)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    """A service on loopback with a bucket; the environment leads there."""
    check_installed(request.param)
    with object_service(request.param, tmp_path, monkeypatch) as service:
        yield service


def start(cache: Path, *words: object) -> subprocess.Popen[bytes]:
    """A command on a machine of its own: with a cache of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    cache.mkdir(exist_ok=True)
    with (cache / "log.txt").open("ab") as log:
        command = [sys.executable, "-m", "earthsynth_factory", *map(str, words)]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def run(cache: Path, *words: object) -> tuple[int, str]:
    code = start(cache, *words).wait(300)
    return code, (cache / "log.txt").read_text()


def brought(address: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """All that lies in the store, in a folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    found = ObjectAddress.of(address)
    assert found
    return Mirror(found).fetch()


def test_a_killed_build_into_a_failing_store_makes_the_local_dataset(
    tmp_path: Path, store: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out, chance = write_recipe(tmp_path, MANY), store.address("my data/größe"), random.Random(2)
    run_build(recipe, tmp_path / "whole")
    store.share = 0.03
    died = 0
    while died < KILLS:
        ends = store.writes + chance.randint(3, 40)
        task = start(tmp_path / "here", "build", recipe, "--out", out)
        while task.poll() is None and store.writes < ends:
            time.sleep(0.01)
        died += task.poll() is None
        task.kill()
        if task.wait() == 0:
            break
    code, log = run(tmp_path / "here", "build", recipe, "--out", out)
    for _ in range(5):
        if code != 3:
            break
        code, log = run(tmp_path / "here", "build", recipe, "--out", out)
    assert code == 0, log[-3000:]
    store.share = 0.0
    found = brought(out, monkeypatch, tmp_path / "there")
    assert tree_hash(found) == tree_hash(tmp_path / "whole")
    assert all(store.faults.values()), store.faults
    assert died >= KILLS / 2, "the kills came too late to mean anything"
    assert SECRET not in log and "AKIAEXAMPLE" not in log
    print(died, store.faults)


def test_shares_on_machines_that_have_nothing_in_common_but_the_store(
    tmp_path: Path, store: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = write_recipe(tmp_path, MANY), store.address("shares/")
    run_build(recipe, tmp_path / "whole")
    words = ("build", recipe, "--out", out, "--shard")
    # Two tasks have the first share: what they make twice is made alike.
    tasks = [start(tmp_path / f"machine{number}", *words, share) for number, share in enumerate(("1/2", "1/2", "2/2"))]
    assert [task.wait(300) for task in tasks] == [0, 0, 0], [
        (tmp_path / f"machine{number}/log.txt").read_text()[-2000:] for number in range(3)
    ]
    code, log = run(tmp_path / "last", "build", recipe, "--out", out)
    assert code == 0, log
    assert tree_hash(brought(out, monkeypatch, tmp_path / "there")) == tree_hash(tmp_path / "whole")
    code, log = run(tmp_path / "machine1", *words, "1/2", "--set", "seed=6")
    assert code == 2 and "holds another build" in log


def test_what_reads_a_dataset_reads_it_there(tmp_path: Path, store: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, out, here = write_recipe(tmp_path), store.address("one"), tmp_path / "here"
    assert run(here, "build", recipe, "--out", out)[0] == 0
    there = tmp_path / "there"
    for words in (
        ("status", out),
        ("status", out, "--verify"),
        ("export", out, "-f", "voc,yolo-detect"),
        ("report", out),
        ("merge", out, store.address("one"), "--out", store.address("merged"), "--partial"),
        ("export", out, "-f", "voc", "-o", store.address("voc")),
    ):
        code, log = run(there, *words)
        assert code == (2 if "merge" in words else 0), log[-2000:]
    found = brought(out, monkeypatch, tmp_path / "third")
    assert (found / "exports/voc/.earthsynth-factory-export").is_file()
    assert len(list((found / "exports/yolo-detect").rglob("*.txt"))) > 20
    assert list(brought(store.address("voc"), monkeypatch, tmp_path / "third").rglob("*.xml"))


def write_dataset_recipe(folder: Path, dataset: str) -> Path:
    """A recipe whose layouts and labels come from a dataset of real images."""
    text = RECIPE.replace("{kind: procedural}", f"{{kind: dataset, path: {dataset}}}")
    text = text.replace("storage tank", "building").replace("plane", "road").replace("negatives: 4", "negatives: 0")
    folder.mkdir()
    return write_recipe(folder, text)


OF_ADDRESSES = ("run.json", "recipe.yaml", "exports/", "README.md", "report/", ".earthsynth-factory.json")
"""Hold where the sources lie."""


def test_sources_come_from_the_store_and_are_the_same(tmp_path: Path, store: Faulty) -> None:
    run_build(write_dataset_recipe(tmp_path / "local", f"{DATA}/dubai"), tmp_path / "whole")
    files(store.scheme).put(str(DATA / "dubai"), "bucket/sources/dubai", recursive=True)
    recipe = write_dataset_recipe(tmp_path / "remote", store.address("sources/dubai"))
    code, log = run(tmp_path / "here", "build", recipe, "--out", tmp_path / "out")
    assert code == 0, log
    assert tree_hash(tmp_path / "out", OF_ADDRESSES) == tree_hash(tmp_path / "whole", OF_ADDRESSES)


@pytest.mark.parametrize("kind", ["same", "other"])
def test_sources_lie_in_one_store_and_the_dataset_in_another(
    tmp_path: Path, store: Faulty, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same kind, in another bucket of it: the environment names one endpoint for each kind."""
    other = store.scheme if kind == "same" else SCHEMES[SCHEMES.index(store.scheme) - 1]
    run_build(write_dataset_recipe(tmp_path / "local", f"{DATA}/dubai"), tmp_path / "whole")
    with ExitStack() as stack:
        if kind == "same":
            files(other).mkdir("sources")
        else:
            check_installed(other)
            (tmp_path / "other").mkdir()
            stack.enter_context(object_service(other, tmp_path / "other", monkeypatch))
        bucket = "sources" if kind == "same" else "bucket"
        files(other).put(str(DATA / "dubai"), f"{bucket}/dubai", recursive=True)
        recipe, out = write_dataset_recipe(tmp_path / "remote", f"{other}://{bucket}/dubai"), store.address("made")
        killed = start(tmp_path / "machine1", "build", recipe, "--out", out, "--shard", "1/2")
        while killed.poll() is None and not files(store.scheme).glob("bucket/made/shards/*.json"):
            time.sleep(0.05)
        killed.kill()
        killed.wait()
        for machine, share in (("machine1", "1/2"), ("machine2", "2/2")):
            code, log = run(tmp_path / machine, "build", recipe, "--out", out, "--shard", share)
            assert code == 0, log[-2000:]
        code, log = run(tmp_path / "last", "build", recipe, "--out", out)
        assert code == 0, log[-2000:]
        found = brought(out, monkeypatch, tmp_path / "there")
    assert tree_hash(found, OF_ADDRESSES) == tree_hash(tmp_path / "whole", OF_ADDRESSES)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_store_that_nobody_serves_is_given_up_soon(
    tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_installed(scheme)
    lead_nowhere(scheme, monkeypatch)
    begun = time.monotonic()
    code, log = run(tmp_path / "here", "status", f"{scheme}://bucket/x")
    assert code == 3 and "once the store answers" in log, log
    assert time.monotonic() - begun < 60


def test_what_stands_in_the_way_is_said_in_one_line_without_secrets(tmp_path: Path, store: Faulty) -> None:
    recipe, here = write_recipe(tmp_path), tmp_path / "here"

    def said(*words: object, code: int = 2) -> str:
        (here / "log.txt").unlink(missing_ok=True)
        found, log = run(here, *words)
        lines = [line for line in log.splitlines() if line]
        assert found == code and len(lines) == 1 and lines[0].startswith(("error: ", "ended early: ")), log
        assert not [secret for secret in (SECRET, "AKIAEXAMPLE", "sig=", "Traceback") if secret in log], log
        return log

    nowhere = f"{store.scheme}://no-bucket/x"
    assert "is the bucket there?" in said("build", recipe, "--out", nowhere)
    said("status", nowhere)
    assert "nothing is there" in said("status", store.address("nothing"))
    store.forbidden = True
    assert "the environment's credentials do not allow it" in said("build", recipe, "--out", store.address("x"))
    assert "the environment's credentials do not allow it" in said("status", store.address("x"))
    store.forbidden, store.down = False, True
    assert "once the store answers" in said("status", store.address("x"), code=3)


def test_a_store_that_goes_away_and_comes_back(tmp_path: Path, store: Faulty) -> None:
    recipe, out = write_recipe(tmp_path, MANY), store.address("away")
    task = start(tmp_path / "here", "build", recipe, "--out", out)
    ends = time.monotonic() + 60
    objects = tmp_path / "here/earthsynth-factory/objects"
    while not list(objects.glob("*/away/shards/00001.json")) and time.monotonic() < ends:
        time.sleep(0.02)
    store.down = True
    assert task.wait(300) == 3, (tmp_path / "here/log.txt").read_text()[-2000:]
    assert "run the same command again once the store answers" in (tmp_path / "here/log.txt").read_text()
    store.down = False
    assert run(tmp_path / "here", "build", recipe, "--out", out)[0] == 0
    assert BuildLayout(next(objects.glob("*/away"))).report.is_dir()


def test_a_packed_build_is_filtered_there(tmp_path: Path, store: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, out, here = (
        write_recipe(tmp_path, RECIPE + "store: {pack: true}\n"),
        store.address("packed"),
        tmp_path / "here",
    )
    run_build(recipe, tmp_path / "whole")
    code, log = run(here, "build", recipe, "--out", out)
    assert code == 0, log[-2000:]
    assert tree_hash(brought(out, monkeypatch, tmp_path / "third")) == tree_hash(tmp_path / "whole")
    config = tmp_path / "filter.yaml"
    config.write_text("rules: [{kind: image_quality, min_sharpness: 3.5}]\n")
    words = ("--config", config, "--apply", "copy")
    for _ in range(2):  # the second time from stored scores
        code, log = run(tmp_path / "there", "filter", out, "--out", store.address("filtered"), *words)
        assert code == 0, log[-2000:]
    assert run(here, "filter", tmp_path / "whole", "--out", tmp_path / "filtered", *words)[0] == 0
    found = brought(store.address("filtered"), monkeypatch, tmp_path / "third")
    assert kept_images(found) == kept_images(tmp_path / "filtered")


def kept_images(filtered: Path) -> dict[int, bytes]:
    """Slot → pixels of a build that was filtered."""
    [run_record] = filtered.rglob("run.json")
    store = BuildReader(run_record.parent)
    return {record.slot: store.image(record).tobytes() for record in store.samples()}
