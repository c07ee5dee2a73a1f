"""A trainer of one's own: it gets each arm's data and its seed, and what it writes is checked before it counts."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from earthsynth_factory.errors import InputError
from earthsynth_factory.evaluation.run import evaluate
from earthsynth_factory.evaluation.session import Events
from earthsynth_factory.evaluation.spec import EvaluationRecipe, TrainerSpec
from earthsynth_factory.evaluation.trainer import check_trainer, read_metrics
from tests.evaluation import planted

COUNTS = """
import json, pathlib, sys
data, seed, out = pathlib.Path(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
found = json.loads(next(data.glob("**/*train*.json")).read_text())
score = len(found["images"]) + 0.1 * seed
(out / "metrics.json").write_text(json.dumps({"test": {"mAP": score, "loss": 3}, "val": {"mAP": 1.5, "loss": 3}}))
"""


def _recipe(folder: Path, script: str, objects: bool = True, **trainer: Any) -> EvaluationRecipe:
    path = folder / "my trainer.py"
    path.write_text(script)
    real = planted.real(folder / "real", 0, train=4, held=3, objects=objects)
    made = planted.made(folder / "made", planted.more(folder, 0, 4, objects=objects))
    words = f"{shlex.quote(sys.executable)} {shlex.quote(str(path))} {{data}} {{seed}} {{out}}"
    return planted.asked(
        real, made, "detect", trainer={"command": words, "metric": "mAP", "percent": True, **trainer}, seeds=3
    )


def test_it_sees_the_data_of_its_arm(tmp_path: Path) -> None:
    """The score is the count of training images, so the result must be the arms' counts."""
    recipe = _recipe(tmp_path, COUNTS)
    found = orjson.loads(evaluate(recipe, tmp_path / "out", Events()).read_bytes())
    (share,) = found["shares"]
    means = {arm["arm"]: arm["scores"]["mAP"]["mean"] for arm in share["arms"]}
    assert means == {"real": 8.1, "synthetic": 16.1, "noise": 16.1, "fewer-real": 4.1}
    synthetic = next(arm for arm in share["arms"] if arm["arm"] == "synthetic")
    assert synthetic["verdict"].startswith("helps: +8.0") and "over seeds alone" in synthetic["verdict"]
    assert b"my trainer.py" in (tmp_path / "out" / "index.html").read_bytes()
    kept, drawn = (tmp_path / "out" / "trainer" / f"{arm}-1-1-0" / "data" for arm in ("synthetic", "noise"))
    pictures = [{p.read_bytes() for p in one.rglob("*.png") if "made" in p.name} for one in (kept, drawn)]
    assert len(pictures[0]) == len(pictures[1]) == 8 and not pictures[0] & pictures[1]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; sys.exit('no such GPU')", "run real-1-0-0 failed \\(exit code 1\\).*no such GPU"),
        ("pass", "ended without writing it"),
        ("import sys; open(sys.argv[3] + '/metrics.json', 'w').write('[1')", "no JSON object"),
        (
            "import sys; open(sys.argv[3] + '/metrics.json', 'w').write('{\"mAP\": \"good\"}')",
            "no number 'mAP', only nothing",
        ),
        ("import sys; open(sys.argv[3] + '/metrics.json', 'w').write('{\"mAP\": NaN}')", "no JSON object"),
        ("import sys; open(sys.argv[3] + '/metrics.json', 'w').write('{\"mAP\": -4}')", "mAP is -4"),
        ("import time; time.sleep(60)", "took more than 1 s"),
    ],
)
def test_a_trainer_that_fails_or_writes_rubbish_is_named(tmp_path: Path, script: str, message: str) -> None:
    recipe = _recipe(tmp_path, script, timeout=1.0 if "sleep" in script else 60)
    with pytest.raises(InputError, match=f"(?s){message}"):
        evaluate(recipe, tmp_path / "out", Events())


def test_finished_runs_are_kept_when_a_later_one_fails(tmp_path: Path) -> None:
    breaks = "import sys, pathlib\nif 'synthetic' in sys.argv[1]: sys.exit(3)\n" + COUNTS
    recipe = _recipe(tmp_path, breaks)
    with pytest.raises(InputError, match="synthetic-1-1-0 failed"):
        evaluate(recipe, tmp_path / "out", Events())
    assert [path.name for path in (tmp_path / "out" / "runs").iterdir()] == ["real-1-0-0.json"]
    (tmp_path / "my trainer.py").write_text(COUNTS)
    evaluate(recipe, tmp_path / "out", Events())


def test_commands_and_numbers_that_say_too_little(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not say \{data\}"):
        check_trainer(TrainerSpec(command="python x.py {out}"))
    with pytest.raises(InputError, match="mend the quotes"):
        check_trainer(TrainerSpec(command="python 'x {data} {out}"))
    (tmp_path / "metrics.json").write_text('{"a": 1, "b": 0.5}')
    with pytest.raises(InputError, match="name it with --metric"):
        read_metrics(tmp_path / "metrics.json", TrainerSpec(command="x"))
    assert read_metrics(tmp_path / "metrics.json", TrainerSpec(command="x", metric="b")) == {"test": 0.5}
    (tmp_path / "metrics.json").write_text('{"only": 31.0}')
    assert read_metrics(tmp_path / "metrics.json", TrainerSpec(command="x", percent=True)) == {"test": 0.31}
    with pytest.raises(InputError, match="only is 31; a score lies in 0 to 1, or in percent with --percent"):
        read_metrics(tmp_path / "metrics.json", TrainerSpec(command="x"))
