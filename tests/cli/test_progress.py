"""What a build shows while it runs, and what its card says afterwards: how many images of each class pass."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from earthsynth_factory.build.run import build
from earthsynth_factory.build.shards import Denoised, Resumed, SlotSettled
from earthsynth_factory.cli import progress
from earthsynth_factory.cli.progress import BuildProgress
from earthsynth_factory.domain.outcome import Reason
from earthsynth_factory.recipe.load import load_recipe
from tests.build.building import RECIPE, write_recipe

TANK, PLANE = 25, 16


def _settled(category: int | None, images: int, passed: int) -> SlotSettled:
    return SlotSettled(
        0, category, "train", passed > 0, images, passed, (Reason("image_quality", "flat"),) * (images - passed)
    )


@pytest.mark.parametrize("terminal", [True, False])
def test_the_class_that_passes_least_comes_first(
    terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(progress, "console", lambda: Console(file=shown, force_terminal=terminal, width=160))
    recipe = load_recipe(write_recipe(tmp_path)).recipe
    with BuildProgress(recipe, tmp_path / "out") as watched:
        for told in (_settled(PLANE, 4, 3), _settled(TANK, 4, 1), _settled(None, 2, 2), _settled(TANK, 4, 1)):
            watched._next_log = 0.0
            watched.watch(told)
    assert "passed: storage tank 25%, plane 75%, negatives 100%" in shown.getvalue()
    assert "not kept: 7× image_quality" in shown.getvalue()


def test_many_classes_are_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SHOWN_CLASSES", 1)
    watched = BuildProgress(load_recipe(write_recipe(tmp_path)).recipe, tmp_path / "out")
    watched.tally.add(_settled(PLANE, 4, 3))
    watched.tally.add(_settled(TANK, 4, 1))
    assert watched._acceptance() == "passed: storage tank 25% and 1 more"


def test_a_recipe_without_rules_shows_no_rates(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, RECIPE.replace("[image_quality]", "[]"))
    watched = BuildProgress(load_recipe(path).recipe, tmp_path / "out")
    watched.tally.add(_settled(PLANE, 4, 4))
    assert watched._acceptance() == ""


def test_live_rates_and_the_card_agree(tmp_path: Path) -> None:
    """Two images a condition: both may pass, one is kept. The rule is set so that some are refused."""
    text = RECIPE.replace("[image_quality]", "[{kind: image_quality, min_sharpness: 3.4}]")
    loaded = load_recipe(write_recipe(tmp_path, text))
    watched = BuildProgress(loaded.recipe, tmp_path / "out")
    result = build(loaded, tmp_path / "out", watch=watched.watch)
    made, passed = watched.tally.made, watched.tally.passed
    assert 0 < sum(passed.values()) < sum(made.values()) and sum(passed.values()) > result.accepted
    card = (tmp_path / "out/README.md").read_text()
    section = card.split("## What the filter passed")[1].split("\n## ")[0]
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:6]]
        for line in section.splitlines()
        if len(cells := line.split("|")) == 7
    }
    for category, name in ((TANK, "storage tank"), (PLANE, "plane"), (6, "water"), (None, "negatives")):
        assert rows[name][:3] == [
            str(made[category]),
            str(passed[category]),
            f"{passed[category] / made[category]:.0%}",
        ]


def test_the_batch_in_the_making_shows_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first image is settled there is nothing else to see move."""
    shown = io.StringIO()
    monkeypatch.setattr(progress, "console", lambda: Console(file=shown, force_terminal=True, width=300))
    with BuildProgress(load_recipe(write_recipe(tmp_path)).recipe, tmp_path / "out") as watched:
        watched.watch(Denoised(3, 20))
        watched.watch(Resumed(30, 60))
    assert "this batch: denoising step 3 of 20" in shown.getvalue()
    assert "are settled already; going on" in shown.getvalue()


def test_a_pipeline_tells_its_steps_through_the_build(tmp_path: Path, tiny_pipeline: Path) -> None:
    model = f"{{kind: controlnet, model: {tiny_pipeline}, steps: 2, guidance: 1.0, batch: 4}}"
    text = RECIPE.replace("{kind: fake}", model).replace("[image_quality]", "[]")
    loaded = load_recipe(write_recipe(tmp_path, text), ["categories.0.count=2", "categories.1.count=1", "negatives=0"])
    told: list[object] = []
    build(loaded, tmp_path / "out", watch=told.append)
    assert [(one.done, one.steps) for one in told if isinstance(one, Denoised)][:3] == [(0, 2), (1, 2), (2, 2)]
    assert isinstance(told[0], Resumed) and not any(
        isinstance(one, SlotSettled) for one in told[: told.index(Denoised(2, 2))]
    )


def test_what_an_evaluation_says_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.evaluation_progress() as events:
        events.say("pip install 'earthsynth-factory[evaluate]'\x1b[2J")
    assert capsys.readouterr().err == "pip install 'earthsynth-factory[evaluate]'\\x1b[2J\n"
