"""What was finished and is lost or changed since is noticed, said, and made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from earthsynth_factory.build import filling
from earthsynth_factory.build.run import BuildResult, build
from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import Interrupted, StoreError
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import run_build, tree_hash, write_recipe

Harm = Callable[[BuildLayout], None]


def _delete_image(layout: BuildLayout) -> None:
    layout.shard(0).image("0000003").unlink()


def _empty_image(layout: BuildLayout) -> None:
    layout.shard(0).image("0000003").unlink()  # it is linked into exports
    layout.shard(0).image("0000003").write_bytes(b"")


def _cut_mask(layout: BuildLayout) -> None:
    mask = layout.shard(0).mask("0000003")
    mask.write_bytes(mask.read_bytes()[:-9])


def _delete_journal(layout: BuildLayout) -> None:
    layout.shard(0).samples.unlink()


def _delete_shard(layout: BuildLayout) -> None:
    shutil.rmtree(layout.shard(0).root)


def _empty_marker(layout: BuildLayout) -> None:
    layout.shard(0).marker.write_bytes(b"")


def _zeros(layout: BuildLayout) -> None:
    journal = layout.shard(1).samples
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], b"\0" * 400 + b"\n", *lines[3:]]))
    layout.shard(1).marker.unlink()


HARMS = (_delete_image, _empty_image, _cut_mask, _delete_journal, _delete_shard, _empty_marker, _zeros)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__.strip("_"))
def test_the_same_command_makes_it_again(tmp_path: Path, harm: Harm) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    run_build(recipe, out)
    before = tree_hash(out)
    harm(BuildLayout(out))
    result = run_build(recipe, out)
    assert (result.accepted, result.short) == (32, {})
    assert tree_hash(out) == before
    assert harm is _zeros or _said(result)


def _said(result: BuildResult) -> list[str]:
    return [note for note in result.notes if note.startswith("shard 00000: ")]


def test_swapped_masks_are_seen_by_their_digest(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    run_build(recipe, out)
    before, shard = tree_hash(out), BuildLayout(out).shard(0)
    one = shard.mask("0000003").read_bytes()
    other = bytes([*one[:-20], one[-20] ^ 1, *one[-19:]])
    shard.mask("0000003").write_bytes(other)
    assert not _said(run_build(recipe, out)), "sizes alone do not tell"
    result = build(load_recipe(recipe), out, verify=True)
    assert _said(result) == ["shard 00000: files whose contents have changed; made again from slot 3"]
    assert tree_hash(out) == before


@pytest.mark.parametrize("store", ["false", "true"])
def test_a_shard_is_committed_as_it_was_made_whatever_becomes_of_its_files(tmp_path: Path, store: str) -> None:
    """A disk that gives back other bytes than it was given must not have its way."""
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    shard = BuildLayout(out).shard(0)

    def turn_a_bit(event: object) -> None:
        if getattr(event, "slot", None) == 0:
            path = shard.packed if shard.packed.is_file() else shard.mask("0000000")
            with path.open("rb+") as file:
                file.seek(700)  # within the image, or the palette
                file.write(b"?")

    changes = [f"store.pack={store}", "exports=[]"]
    build(load_recipe(recipe, changes), out, watch=turn_a_bit)
    assert _said(build(load_recipe(recipe, changes), out, verify=True)) == [
        "shard 00000: files whose contents have changed; made again from slot 0"
    ]


def test_shards_that_vanish_while_the_build_goes_on_are_no_success(tmp_path: Path) -> None:
    recipe, out, seen = write_recipe(tmp_path), tmp_path / "out", [0]

    def vanish(_: object) -> None:
        seen[0] += 1
        if seen[0] == 20:
            shutil.rmtree(BuildLayout(out).shard(0).root)

    with pytest.raises(Interrupted, match="run the same command again"):
        build(load_recipe(recipe), out, watch=vanish)
    assert run_build(recipe, out).accepted == 32


def test_a_doubled_slot_is_refused(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    run_build(recipe, out)
    shard = BuildLayout(out).shard(0)
    lines = shard.samples.read_bytes().splitlines(keepends=True)
    shard.samples.write_bytes(b"".join([*lines[:3], lines[2], *lines[3:]]))
    with pytest.raises(StoreError, match="slot 2 stands twice or out of order"):
        list(BuildReader(out).samples())
    shard.marker.unlink()
    with pytest.raises(StoreError, match="slot 2 is recorded twice"):
        run_build(recipe, out)


def test_what_the_models_are_is_known_before_the_first_shard_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    run_build(recipe, tmp_path / "whole")

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(filling, "_log_session", die)  # behind the last commit
        run_build(recipe, out)
    assert json.loads((out / "run.json").read_text())["line"]["synthesis"]["kind"] == "fake"
    record = json.loads((out / "run.json").read_text())
    del record["line"]  # as builds of before left it
    (out / "run.json").write_text(json.dumps(record))
    run_build(recipe, out)
    assert tree_hash(out) == tree_hash(tmp_path / "whole")
