"""An evaluation from end to end: bad input is named, a kill costs nothing, equal settings give equal results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import orjson
import pytest

from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.evaluation import backbones, result
from earthsynth_factory.evaluation.members import gather
from earthsynth_factory.evaluation.run import evaluate
from earthsynth_factory.evaluation.session import Events
from earthsynth_factory.evaluation.spec import ArmName, EvaluationRecipe
from tests.build.building import run_build, write_recipe
from tests.evaluation import planted


def _pair(folder: Path, **how: Any) -> tuple[Path, Path]:
    real = planted.real(folder / "real", 0, train=4, held=3, **how)
    return real, planted.made(folder / "made", planted.more(folder, 0, 4, **how))


def _records(out: Path) -> dict[str, Any]:
    """All but the time a run took and the digest, which is of that time too."""
    found = {path.name: orjson.loads(path.read_bytes()) for path in sorted((out / "runs").iterdir())}
    return {
        name: {key: value for key, value in one.items() if key not in ("seconds", "digest")}
        for name, one in found.items()
    }


def test_a_result_from_end_to_end(tmp_path: Path) -> None:
    real, made = _pair(tmp_path)
    recipe = planted.asked(real, made, doses=(0, 0.5), shares=(0.5,))
    found = orjson.loads(evaluate(recipe, tmp_path / "out", Events()).read_bytes())
    (share,) = found["shares"]
    arms = {one["arm"]: one for one in share["arms"]}
    assert set(arms) == {"real", "augmented", "synthetic", "noise", "more-real"}
    assert arms["synthetic"]["shown"]["synthetic"]["images"] == 4 and "synthetic" not in arms["real"]["shown"]
    assert {len(one["by_seed"]) for one in arms.values()} == {2}
    totals = {sum(part["draws"] for part in one["shown"].values()) for one in arms.values()}
    assert totals == {2 * 4 * 4}, "every arm takes as many steps"
    assert share["dose_curve"]["chosen"] in (0.0, 0.5)
    assert "points of mIoU" in arms["synthetic"]["verdict"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Test images" in page and "What was shown" in page and "<script" not in page
    assert "real + synthetic" in (tmp_path / "out" / "card.md").read_text()


def test_how_images_look_is_computed_once_and_again_if_the_file_is_another_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = _pair(tmp_path)
    looks = {
        "kid": {},
        "words": {"mid": "3 ± 1"},
        "images": {"real": 4, "synthetic": 4},
        "memorised": 0,
        "diversity": 1.0,
    }
    calls: list[int] = []

    def likeness(*_: object) -> dict[str, Any]:
        calls.append(1)
        return looks

    monkeypatch.setattr(result, "likeness", likeness)
    for seeds, computed in ((2, 1), (3, 1), (3, 2)):
        recipe = planted.asked(real, made, arms=("real", "synthetic"), steps=2, seeds=seeds)
        found = orjson.loads(evaluate(recipe, tmp_path / "out", Events()).read_bytes())
        assert found["looks"] == looks and len(calls) == computed
        if computed == 1 and seeds == 3:
            path = tmp_path / "out/looks.json"
            path.write_bytes(path.read_bytes().replace(b"3 ", b"4 "))


def test_an_untrained_network_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, made = _pair(tmp_path)
    said: list[str] = []
    monkeypatch.setattr(backbones, "find_spec", lambda _: None)
    recipe = planted.asked(real, made, arms=("real", "synthetic"), steps=2, model={})
    evaluate(recipe, tmp_path / "out", Events(say=said.append))
    assert any("pip install 'earthsynth-factory[evaluate]'" in line for line in said)


@pytest.mark.slow
def test_every_arm_and_a_comparison(tmp_path: Path) -> None:
    real, made = _pair(tmp_path, objects=True)
    other = planted.made(tmp_path / "other", planted.more(tmp_path, 5, 3, objects=True))
    named: tuple[ArmName, ...] = get_args(ArmName)
    arms = [arm for arm in named if arm not in ("noise", "more-real", "augmented")]
    recipe = planted.asked(real, made, "detect", arms=arms, steps=2, compare=other)
    found = orjson.loads(evaluate(recipe, tmp_path / "out", Events()).read_bytes())
    (share,) = found["shares"]
    kept = {arm["arm"]: arm for arm in share["arms"]}
    assert set(kept) == set(arms)
    assert kept["synthetic-alone"]["images"] == {"real": 0, "synthetic": 6}, "as many as the smaller dataset has"
    assert kept["compared"]["shown"]["compared"]["images"] > 0 and "synthetic" not in kept["compared"]["shown"]
    assert share["against_compared"]["verdict"].startswith("beside the compared dataset: ")
    assert all("AP" in arm["scores"] and "AP50" in arm["scores"] for arm in kept.values())


def test_classification(tmp_path: Path) -> None:
    real, made = _pair(tmp_path)
    found = orjson.loads(
        evaluate(planted.asked(real, made, "classify", arms=("real",)), tmp_path / "out", Events()).read_bytes()
    )
    assert {"macro-F1", "top-1"} <= found["shares"][0]["arms"][0]["scores"].keys()


def test_runs_do_not_hang_on_what_is_asked_beside_them(tmp_path: Path) -> None:
    real, made = _pair(tmp_path)
    some = planted.asked(real, made, arms=("real", "synthetic"))
    evaluate(some, tmp_path / "one", Events())
    evaluate(some.model_copy(update={"arms": ("real",)}), tmp_path / "two", Events())
    told: list[str] = []
    evaluate(some, tmp_path / "two", Events(say=told.append))
    assert _records(tmp_path / "one") == _records(tmp_path / "two")
    assert any("2 of 4 runs are finished" in line for line in told)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_evaluation_goes_on_and_leaves_nothing_running(tmp_path: Path) -> None:
    real, made = _pair(tmp_path)
    recipe = planted.asked(real, made, arms=("real", "synthetic"), workers=2)
    text = orjson.dumps(recipe.model_dump(mode="json")).decode()
    (tmp_path / "recipe.yaml").write_text(text)
    command = [sys.executable, "-m", "earthsynth_factory", "evaluate", str(tmp_path / "recipe.yaml")]
    out = tmp_path / "killed"
    with subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 400
        while not list(out.glob("runs/*.json")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(process.pid)
    left = len(list(out.glob("runs/*.json")))
    assert 1 <= left <= 4
    evaluate(recipe, out, Events())
    evaluate(recipe.model_copy(update={"workers": 1}), tmp_path / "whole", Events())
    assert _records(out) == _records(tmp_path / "whole")
    first, second = (orjson.loads((folder / "evaluation.json").read_bytes()) for folder in (out, tmp_path / "whole"))
    assert first["shares"] == second["shares"]


def _alive(session: int) -> bool:
    """Whether any process of the session is left."""
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[3]) == session and fields[0] != "Z" and int(entry.name) != os.getpid():
            return True
    return False


def test_other_settings_or_data_in_one_folder_are_refused(tmp_path: Path) -> None:
    real, made = _pair(tmp_path)
    recipe = planted.asked(real, made, arms=("real",))
    evaluate(recipe, tmp_path / "out", Events())
    with pytest.raises(StoreError, match="other budget"):
        evaluate(recipe.model_copy(update={"steps": 5}), tmp_path / "out", Events())
    image = next((made / "images").iterdir())
    image.write_bytes(next((real / "images").iterdir()).read_bytes())
    with pytest.raises(StoreError, match="other images"):
        evaluate(recipe, tmp_path / "out", Events())
    with pytest.raises(StoreError, match="not empty and no evaluate of ours"):
        evaluate(recipe, real, Events())


def _gather(recipe: EvaluationRecipe) -> Any:
    return gather(recipe, lambda _: None)


def _split(pictures: list[Any], splits: list[str | None], scenes: list[str]) -> list[Any]:
    return [(scene, split, one) for scene, split, one in zip(scenes, splits, pictures, strict=True)]


def _pictures(count: int, **how: Any) -> list[Any]:
    return [planted.picture(number, 0, **how) for number in range(count)]


def test_bad_splits_are_named(tmp_path: Path) -> None:
    made = planted.made(tmp_path / "made", planted.more(tmp_path, 0, 2))
    names = [f"s{number}" for number in range(6)]
    cases = [
        ("no test", ["train"] * 4 + ["val"] * 2, names, "has no test split"),
        ("no train", ["val"] * 3 + ["test"] * 3, names, "has no train split"),
        (
            "torn",
            ["train"] * 2 + ["val"] * 2 + ["test"] * 2,
            ["a", "b", "c", "d", "a", "e"],
            "scene 'a' is in train and test",
        ),
        ("few", ["train"] * 6, ["a", "b"] * 3, "2 groups cannot fill 3 splits"),
    ]
    for name, splits, scenes, message in cases:
        real = planted.write(tmp_path / name, _split(_pictures(6), list(splits), scenes))
        with pytest.raises(InputError, match=message):
            _gather(planted.asked(real, made))


def test_test_images_in_disguise_are_named(tmp_path: Path) -> None:
    made, pictures = planted.made(tmp_path / "made", planted.more(tmp_path, 0, 2)), _pictures(6)
    image, mask, ids = pictures[0]
    pictures[5] = (np.ascontiguousarray(image[:, ::-1] // 2), np.ascontiguousarray(mask[:, ::-1]), ids)
    splits = ["train", "train", "val", "val", "test", "test"]
    real = planted.write(tmp_path / "real", _split(pictures, splits, list("abcdef")))
    with pytest.raises(InputError, match=r"look the same.*--allow-leaks"):
        _gather(planted.asked(real, made))
    assert "splits leak" in _gather(planted.asked(real, made, allow_leaks=True)).warnings[0]


def test_made_images_that_show_the_test_are_left_out_and_told(tmp_path: Path) -> None:
    real = planted.real(tmp_path / "real", 0, train=3, held=3, each=1)
    shown = planted.picture(planted.scene_of(0, "test", 1), 0)
    pictures = [*planted.more(tmp_path, 0, 3, each=1), shown, shown]
    made = planted.write(
        tmp_path / "made", [("test0" if n == 0 else f"m{n}", "train", p) for n, p in enumerate(pictures)]
    )
    found = _gather(planted.asked(real, made))
    assert len(found.records["synthetic"]) == 2
    assert "1 synthetic images left out: they come from scenes of val or test" in found.notes
    assert "2 synthetic images left out: they look like an image of val or test" in found.notes


@pytest.mark.parametrize("place", ["synthetic", "compare"])
def test_a_generator_that_learnt_from_the_real_images_is_named(tmp_path: Path, place: str) -> None:
    real = planted.real(tmp_path / "real", 0, train=3, held=3, each=1)
    plain, built = planted.made(tmp_path / "made", planted.more(tmp_path, 0, 3, each=1)), tmp_path / "built"
    run_build(write_recipe(tmp_path), built, "categories=[{name: water, count: 3}]", "negatives=0", "image.size=32")
    run = orjson.loads((built / "run.json").read_bytes())
    run["line"]["synthesis"]["training_data"] = ["Real scenes of ours (CC0)"]
    (built / "run.json").write_bytes(orjson.dumps(run))
    folders = {"synthetic": (built,)} if place == "synthetic" else {"compare": built}
    (warning,) = _gather(planted.asked(real, plain).model_copy(update=folders)).warnings
    assert warning.startswith(f"{built}: the generator's card says that it learnt from 'Real scenes of ours (CC0)'")


def test_splits_are_made_by_scene_where_there_are_none(tmp_path: Path) -> None:
    real = planted.write(tmp_path / "real", [(f"s{n}", None, one) for n, one in enumerate(_pictures(10))])
    found = _gather(planted.asked(real, planted.made(tmp_path / "made", planted.more(tmp_path, 0, 2))))
    assert {part: len(found.records[part]) for part in ("train", "val", "test")} == {"train": 6, "val": 2, "test": 2}
    assert "had no splits" in found.notes[0]


def test_classes_that_do_not_meet_and_a_single_class_are_named(tmp_path: Path) -> None:
    cover, things = _pair(tmp_path / "cover"), _pair(tmp_path / "things", objects=True)
    with pytest.raises(
        InputError, match="classes do not meet: the real images have road, water, the synthetic ones plane"
    ):
        evaluate(planted.asked(cover[0], things[1]), tmp_path / "out", Events())
    image, mask, ids = planted.picture(0, 0)
    alone = [(image, np.full_like(mask, planted.ROAD), ids)] * 6
    splits = ["train", "train", "val", "val", "test", "test"]
    one = planted.write(tmp_path / "one", _split(alone, splits, list("abcdef")))
    for task in ("classify", "segment"):
        with pytest.raises(InputError, match="one class only"):
            evaluate(planted.asked(one, cover[1], task, allow_leaks=True), tmp_path / f"out-{task}", Events())
    with pytest.raises(InputError, match="test split holds no objects"):
        evaluate(planted.asked(cover[0], things[1], "detect"), tmp_path / "out-detect", Events())
