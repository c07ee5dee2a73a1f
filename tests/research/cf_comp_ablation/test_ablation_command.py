"""The whole ablation on a random pipeline and scenes of 32 px."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.synthesis.controlnet import ControlNetGenerator
from earthsynth_factory.training.controlnet.run import train_controlnet
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe
from research.cf_comp_ablation import run
from research.cf_comp_ablation.__main__ import main
from research.cf_comp_ablation.plan import SIZES, Size, Trial
from tests.training.scenes import write_layout

JUDGED = {"side": 32, "steps": 2, "batch": 4, "held_out": 8}
TINY = Size(steps=2, batch=4, variants=1, images=8, sampling=2, seeds=(1, 2), rounds=2, budget=JUDGED)
CARD = ModelCard(name="Random pipeline", control="palette", native_size=32, steps=2, guidance=1.0)
MARKED = "<!-- cf-comp-ablation -->\n<!-- /cf-comp-ablation -->"


@pytest.fixture
def command(tiny_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setitem(SIZES, "quick", TINY)
    base = tmp_path / "base"
    shutil.copytree(tiny_pipeline, base)
    (base / "card.json").write_text(CARD.model_dump_json())
    about = write_layout(tmp_path / "data", count=12, singles=False, about=True) / "dataset.json"
    dataset = json.loads(about.read_bytes())
    for number, item in enumerate(dataset["items"].values()):
        item["split"] = ("train", "train", "train", "val", "test")[number % 5]
    about.write_text(json.dumps(dataset))
    folders = {"data": "data", "out": "out", "base": "base"}
    named = [word for name, folder in folders.items() for word in (f"--{name}", str(tmp_path / folder))]
    return [*named, "--size", "quick", "--device", "cpu"]


@pytest.mark.slow
def test_it_trains_draws_and_fills_the_readme_and_goes_on(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme, out = tmp_path / "README.md", tmp_path / "out"
    readme.write_text(f"# ours\n\n{MARKED}\n\nend\n")
    trained: list[str] = []

    def noted(recipe: ControlNetRecipe, recipe_folder: Path, folder: Path, resume: bool) -> Path:
        trained.append(folder.name)
        return train_controlnet(recipe, recipe_folder, folder, resume)

    monkeypatch.setattr(run, "train_controlnet", noted)
    assert main([*command, "--readme", str(readme)]) == 0
    assert trained == ["off-1", "cf-comp-1", "random-1", "off-2", "cf-comp-2", "random-2"]
    table = readme.read_text()
    assert "From a new ControlNet on the base's UNet: 2 steps of 4 samples on 8 images, 2 seeds each" in table
    assert "16 images of each mode beside 8 real ones" in table
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][2:]
    assert [row[0] for row in rows] == [
        "| none: real alone", "| CF-Comp", "| off", "| random copy-paste", "| untouched base",
    ]  # fmt: skip
    assert [("[" in row[2], "[" in row[3]) for row in rows] == [(False, False), (True, False), *3 * [(True, True)]]
    modes = [json.loads((out / "runs" / name / "recipe.json").read_text())["cf_comp"]["mode"] for name in trained]
    assert modes == ["off", "cf-comp", "random"] * 2
    assert "training 6 of 6: random, seed 2" in capsys.readouterr().err

    # A killed run is made again; what was finished is kept, and the same comes out.
    (out / "runs" / "random-2" / "done.json").unlink()
    kept = (out / "ablation.md").read_text()
    monkeypatch.setattr(ControlNetGenerator, "generate", lambda *_: pytest.fail("drawn again"))
    assert main(command) == 0
    assert trained[6:] == ["random-2"]
    assert (out / "ablation.md").read_text() == kept


def test_another_ablation_in_the_folder_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ablation.json").write_text("{}")
    assert main(command) == 2
    assert "ablation.json: holds an ablation with other settings, base or data; choose another --out" in (
        capsys.readouterr().err
    )


def test_a_readme_without_markers_is_refused_before_the_work(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("none")
    assert main([*command, "--readme", str(tmp_path / "README.md")]) == 2
    assert "the table needs one line <!-- cf-comp-ablation -->" in capsys.readouterr().err


def test_runs_differ_in_mode_and_seed_alone(tmp_path: Path) -> None:
    trial = Trial("embedded", tmp_path, tmp_path, TINY, "new", "cpu")
    recipes = [trial.recipe(CARD, mode, seed).model_dump() for mode, seed in trial.runs()]
    assert {(r["cf_comp"]["mode"], r["seed"]) for r in recipes} == set(trial.runs())
    rest = [{**r, "cf_comp": {**r["cf_comp"], "mode": 0}, "seed": 0, "name": ""} for r in recipes]
    assert all(one == rest[0] for one in rest)
