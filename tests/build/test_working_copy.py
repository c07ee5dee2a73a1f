"""Builds whose output folder lies in an object store, one in memory; of a real service's faults see test_object_store.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from earthsynth_factory.build.sharing.share import Share
from earthsynth_factory.build.working_copy import working_copy
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.mirror import Mirror
from earthsynth_factory.io.objects import ObjectAddress
from tests.build.building import run_build, tree_hash, write_recipe
from tests.build.test_sharing import run_share
from tests.conditions.folders import DATA
from tests.io.stand_in_store import StandIn, store

__all__ = ["store"]

OUT = Path("s3://bucket/out")

FROM_PLACES = """
name: places
image: {size: 64, metres_per_pixel: 1.0}
categories: [{name: building, count: 4}, {name: road, count: 2}]
conditions: [{kind: dataset, path: "SOURCE"}]
synthesis: {kind: controlnet, model: "MODEL", steps: 2, guidance: 1.0, batch: 4}
rfilter: {candidates: 1, max_attempts: 4, rules: []}
exports: []
engine: {shard_size: 4, device: cpu}
"""


def build(recipe: Path, *changes: str) -> None:
    with working_copy(OUT, None, lambda _: None) as copy:
        run_build(recipe, copy.folder, *changes)


def share(recipe: Path, which: Share, *changes: str) -> int:
    with working_copy(OUT, which, lambda _: None) as copy:
        left = copy.left(run_share(recipe, copy.folder, str(which), *changes).left)
        if not left:
            run_build(recipe, copy.folder, *changes)
        return left


def brought(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    address = ObjectAddress.of(OUT)
    assert address
    return Mirror(address).fetch()


def test_a_local_folder_is_built_in_itself(tmp_path: Path) -> None:
    with working_copy(tmp_path / "out", None, lambda _: None) as copy:
        assert copy.folder == tmp_path / "out" and copy.left(3) == 3


def test_it_is_the_local_dataset_and_goes_on_elsewhere(
    tmp_path: Path, store: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "whole")
    build(recipe)
    assert store.sent[-1] == "bucket/out/.earthsynth-factory.json"
    first = brought(tmp_path / "there", monkeypatch)
    assert tree_hash(first) == tree_hash(tmp_path / "whole")
    store.sent.clear()
    build(recipe)
    assert not [
        name
        for name in store.sent
        if "probe" not in name and not name.endswith(("run.json", "recipe.yaml", ".earthsynth-factory.json"))
    ]
    more = "categories.1.count=20"
    build(recipe, more)
    run_build(recipe, tmp_path / "whole", more)
    assert tree_hash(brought(tmp_path / "third", monkeypatch)) == tree_hash(tmp_path / "whole")


def test_what_was_not_sent_is_sent_later(tmp_path: Path, store: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt), working_copy(OUT, None, lambda _: None) as copy:
        run_build(recipe, copy.folder)
        shutil.rmtree(copy.folder / "report")
        raise KeyboardInterrupt
    build(recipe)
    assert tree_hash(brought(tmp_path / "there", monkeypatch)) == tree_hash(tmp_path / "whole")


def test_shares_have_nothing_in_common_but_the_store(
    tmp_path: Path, store: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path)
    run_build(recipe, tmp_path / "whole")
    left = []
    for number in (1, 2, 3):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"machine{number}"))
        left.append(share(recipe, Share(number, 3)))
    assert left == [3, 1, 0]
    assert tree_hash(brought(tmp_path / "there", monkeypatch)) == tree_hash(tmp_path / "whole")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with pytest.raises(StoreError, match="holds another build"):
        share(recipe, Share(1, 3), "seed=6")


@pytest.mark.parametrize("record", [None, b"{", b"[]"], ids=["another build", "torn", "no record"])
def test_a_build_that_another_task_began_meanwhile_is_refused(
    tmp_path: Path, store: StandIn, record: bytes | None
) -> None:
    recipe = write_recipe(tmp_path)
    with (
        pytest.raises(StoreError, match="another build was begun there meanwhile"),
        working_copy(OUT, Share(1, 2), print) as copy,
    ):
        run_build(recipe, tmp_path / "other", "seed=6")
        store.pipe_file("bucket/out/run.json", record or (tmp_path / "other/run.json").read_bytes())
        run_share(recipe, copy.folder, "1/2")


def test_foreign_objects_are_left_alone(tmp_path: Path, store: StandIn) -> None:
    store.pipe_file("bucket/out/thesis.txt", b"mine")
    with pytest.raises(StoreError, match="not empty and no build of ours"):
        build(write_recipe(tmp_path))
    assert list(store.store) == ["/bucket/out/thesis.txt"]


def test_sources_and_models_in_a_store_are_those_of_folders(
    tmp_path: Path, store: StandIn, tiny_pipeline: Path
) -> None:
    for folder, name in ((tiny_pipeline, "tiny"), (DATA / "dubai", "dubai")):
        for path in folder.rglob("*"):
            if path.is_file():
                store.pipe_file(f"bucket/{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    for out, model, source in (
        ("local", str(tiny_pipeline), f"{DATA}/dubai"),
        ("there", "s3://bucket/tiny", "s3://bucket/dubai"),
    ):
        recipe = write_recipe(tmp_path, FROM_PLACES.replace("MODEL", model).replace("SOURCE", source))
        run_build(recipe, tmp_path / out)
    described = ("run.json", "recipe.yaml", "README.md", "report/", ".earthsynth-factory.json", "exports/")
    assert tree_hash(tmp_path / "there", described) == tree_hash(tmp_path / "local", described)
    here, there = (BuildReader(tmp_path / out).run.identity for out in ("local", "there"))
    assert here["sources"] == there["sources"]
    named = {"card"}  # a model without a card of its own is called after its place
    assert {key: value for key, value in here["synthesis"].items() if key not in named} == {
        key: value for key, value in there["synthesis"].items() if key not in named
    }
