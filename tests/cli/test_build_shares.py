"""`build --shard`, as a job of a cluster gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.build.building import run_build, tree_hash, write_recipe
from tests.cli.conftest import Run


def test_shares_make_what_is_theirs_and_the_last_finishes(tmp_path: Path, run: Run) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    run_build(recipe, tmp_path / "whole")
    code, said, _ = run("build", recipe, "--out", out, "--shard", "1/2")
    assert code == 0 and "share 1/2: 3 of its 3 shards are done; 2 of the folder are not yet" in said
    assert sorted(path.name for path in (out / "shards").iterdir()) == [
        f"0000{number}{end}" for number in (0, 2, 4) for end in ("", ".json")
    ]
    code, said, _ = run("build", recipe, "--out", out, "--shard", "2/2", "--json")
    assert code == 0 and json.loads(said)["accepted"] == 32
    assert tree_hash(out) == tree_hash(tmp_path / "whole")
    assert len((out / "sessions.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("shard", "words"),
    [
        ("5/3", "shares are counted from 1 to how many there are"),
        ("0/3", "shares are counted from 1"),
        ("3", "such as 3/64, or `env`"),
        ("a/b", "such as 3/64, or `env`"),
        ("1/999999", "100000 at most"),
        ("env", "none of SLURM_ARRAY_TASK_ID"),
    ],
)
def test_a_share_that_is_none(tmp_path: Path, run: Run, shard: str, words: str) -> None:
    code, _, said = run("build", write_recipe(tmp_path), "--out", tmp_path / "out", "--shard", shard)
    assert code == 2 and words in " ".join(said.split())
    assert not (tmp_path / "out").exists()
