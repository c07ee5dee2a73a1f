"""An evaluation is asked for by options, by a file, or by both; what cannot be asked for is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from earthsynth_factory.cli import app
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.evaluation.load import load
from earthsynth_factory.evaluation.spec import BUDGETS

WHOLE = "kind: evaluation\nreal: data/mine\nsynthetic: [out/a, out/b]\ntask: detect\nseeds: 8\nshares: [0.05, 1]\n"


def test_paths_start_at_the_file_and_options_win(tmp_path: Path) -> None:
    (tmp_path / "eval.yaml").write_text(WHOLE)
    found = load(tmp_path / "eval.yaml", {"seeds": 3, "steps": 7})
    assert found.real == tmp_path / "data/mine" and found.synthetic[1] == tmp_path / "out/b"
    assert (found.seeds, found.shares, found.task) == (3, (0.05, 1.0), "detect")
    assert found.budgeted() == BUDGETS["quick"].model_copy(update={"steps": 7})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("arms: [synthetic]", "`real` is what every other arm is compared with"),
        ("arms: [real, guess]", "guess"),
        ("arms: [real, compared]", "needs `compare`"),
        ("doses: [1, 0.5]", "ascending"),
        ("shares: [0, 1]", "shares"),
        ("colour: red", "colour"),
    ],
)
def test_faults_are_named_with_their_place(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "eval.yaml").write_text(WHOLE.replace("shares: [0.05, 1]\n", "") + line + "\n")
    with pytest.raises(RecipeError, match=r"eval\.yaml:\d") as refused:
        load(tmp_path / "eval.yaml", {})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--real, --synthetic, --task: missing"),
        (["--real", "a", "--synthetic", "b", "--task", "detect", "--shares", "half"], "--shares half: write numbers"),
        (["--real", "a", "--synthetic", "b", "--task", "detect", "--arms", "real,x"], "arms"),
        (["--real", "nowhere", "--synthetic", "b", "--task", "detect"], "nowhere"),
        (["--real", "a", "--synthetic", "b", "--task", "detect", "--trainer", "train {seed}"], "{data} and {out}"),
    ],
)
def test_bad_options_end_with_2(tmp_path: Path, options: list[str], message: str) -> None:
    ended = CliRunner().invoke(app, ["evaluate", *options, "--out", str(tmp_path / "out")])
    assert ended.exit_code == 2, ended.output
    assert message in ended.output
