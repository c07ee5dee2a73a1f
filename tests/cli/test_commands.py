"""The commands that write, check and plan recipes, as a stranger meets them: stdout, stderr, exit codes."""

from __future__ import annotations

import importlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import typer

from earthsynth_factory import __version__, cli
from earthsynth_factory.errors import DiskError, Interrupted, RecipeError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.recipe.template import STARTERS, starter
from tests.cli.conftest import Run
from tests.importers import layouts

RECIPE = """\
name: "[red]tanks"
image: {size: 64}
categories: [{name: storage tank, count: 10}, {name: water, count: 5}]
negatives: 2
conditions: [{kind: procedural}]
synthesis: {kind: fake, batch: 2}
rfilter: {candidates: 2}
exports: []
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tanks.yaml"
    file.write_text(RECIPE)
    return file


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"earthsynth-factory {__version__}\n", "")


@pytest.mark.parametrize(("given", "found"), [(None, "1"), ("4", "4")])
def test_numpy_computes_in_one_thread_unless_the_user_says_otherwise(
    run: Run, monkeypatch: pytest.MonkeyPatch, given: str | None, found: str
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")
    if given is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    run("--version")
    assert os.environ["OPENBLAS_NUM_THREADS"] == found


def test_init_writes_once(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    assert run("recipe", "init", file) == (0, f"{file} written. Next: earthsynth-factory plan {file}\n", "")
    assert file.read_text() == starter("yolo", "mine.yaml")
    assert run("recipe", "init", file) == (2, "", f"error: {file}: exists already; name another file\n")
    assert run("recipe", "init", tmp_path / "no" / "x.yaml")[0] == 2
    assert run("recipe", "init", "-") == (0, starter("yolo", "recipe.yaml"), "")


@pytest.mark.parametrize(("purpose", "images"), [("yolo", 130), ("rare-class", 140), ("land-cover", 160)])
def test_a_starter_for_every_purpose_is_valid_without_a_warning(
    run: Run, tmp_path: Path, purpose: str, images: int
) -> None:
    file = tmp_path / "mine.yaml"
    assert run("recipe", "init", file, "--for", purpose)[0] == 0
    code, out, err = run("recipe", "validate", file)
    assert (code, err) == (0, "") and f": valid; {images} images, " in out


def test_the_starter_for_own_masks_says_where_they_go(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    run("recipe", "init", file, "--for", "own-masks")
    code, _, err = run("recipe", "validate", file)
    assert code == 2 and "mine.yaml:18:27: conditions.0.path: 'my_masks'" in err
    for number in range(8):
        mask = np.zeros((160, 160), np.uint8)
        mask[40:80, 60 : 80 + number] = 1
        write_bytes(tmp_path / f"my_masks/m{number}.png", encode_png(mask))
    assert run("recipe", "validate", file) == (0, f"{file}: valid; 40 images, 1 classes\n", "")
    assert set(STARTERS) == {"yolo", "rare-class", "land-cover", "own-masks"}


def test_what_the_model_has_not_learnt_is_said_everywhere_and_stops_a_build(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mills.yaml"
    file.write_text(
        "name: mills\nimage: {size: 128}\ncategories:\n"
        "  - {name: plane, count: 1, context: [overpass], metres_per_pixel: 20}\n"
        "  - {name: windmill, count: 2}\n"
        "conditions: [{kind: procedural}]\nsynthesis: {model: embedded}\n"
    )
    for command in (("recipe", "validate"), ("plan",)):
        code, _, err = run(*command, file)
        assert code == 0
        assert re.search(r"warning: .*:5:12: categories\.1\.name: 'windmill' → the model .* not learnt", err)
        assert re.search(r"warning: .*:4:39: categories\.0\.context\.0: 'overpass' → surroundings", err)
        assert re.search(r"warning: .*: categories\.0\.metres_per_pixel: 20 → outside the 0\.125\.\.8 metres", err)
    code, _, err = run("build", file, "--out", tmp_path / "out")
    assert code == 2 and "set `allow_unknown: true`" in err and not (tmp_path / "out").exists()
    assert len(json.loads(run("plan", file, "--json", "--set", "image.size=64")[1])["warnings"]) == 4


def test_validate_without_rules_or_weights_at_hand_needs_no_network(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "far.yaml"
    file.write_text(
        "name: far\ncategories: [{name: ship, count: 1}]\nconditions: [{kind: procedural}]\n"
        "synthesis: {model: earthsynth}\n"
    )
    code, _, err = run("recipe", "validate", file)
    assert code == 0 and "not on this machine, and HF_HUB_OFFLINE is set; fetch it with a network" in err
    assert run("build", file, "--out", tmp_path / "out")[0] == 2


def test_faults_go_to_stderr_with_code_2(run: Run, path: Path) -> None:
    code, out, err = run("recipe", "validate", path, "--set", "sead=1", "--set", "image.size=65")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error: 2 faults",
        "--set sead=1: sead → unknown key; did you mean 'seed'?",
        "--set image.size=65: image.size: 65 → must be a multiple of 8",
    ]


def test_validate_json(run: Run, path: Path) -> None:
    code, out, _ = run("recipe", "validate", path, "--json")
    assert code == 0
    assert json.loads(out)["recipe"]["negatives"] == 2


def test_schema_is_json(run: Run) -> None:
    assert json.loads(run("recipe", "schema")[1])["title"] == "Recipe"


def test_categories(run: Run) -> None:
    assert len(run("recipe", "categories")[1].splitlines()) == 69
    _, out, _ = run("recipe", "categories", "Tank")
    assert out.split() == ["25", out.split()[1], "objects", "storage", "tank"]
    assert run("recipe", "categories", "harbour") == (0, "", "none has 'harbour' in its name; near: harbor\n")
    assert json.loads(run("recipe", "categories", "water", "--json")[1])[0]["id"] == 6


def test_plan_for_people(run: Run, path: Path) -> None:
    code, out, err = run("plan", path)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["[red]tanks"] in rows
    assert ["25", "storage", "tank", "8", "2", "10"] in rows
    assert ["negatives", "2", "0", "2"] in rows
    assert ["all", "14", "3", "17"] in rows
    assert "17 images; at least 34 to make; 139 kB on disk, exports not counted" in out
    assert "no rate is known" in out


def test_plan_for_machines(run: Run, path: Path) -> None:
    facts = json.loads(run("plan", path, "--json", "--set", "negatives=0")[1])
    assert facts["table"][0] == {"id": 25, "name": "storage tank", "splits": {"train": 8, "val": 2}}
    assert (facts["images"], facts["seconds"]) == (15, None)


def test_plan_probe_measures(run: Run, path: Path) -> None:
    facts = json.loads(run("plan", path, "--probe", "--json")[1])
    assert facts["images_per_second"] > 0
    assert facts["seconds"] == pytest.approx(34 / facts["images_per_second"])


def test_usage_errors(run: Run) -> None:
    code, _, err = run("plann")
    assert code == 2
    assert "No such command 'plann'" in err


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (RecipeError(["one"]), 2, "error: one\n"),
        (Interrupted("stopped"), 3, "ended early: stopped\n"),
        (DiskError("full"), 3, "ended early: full\n"),
        (
            KeyboardInterrupt(),
            3,
            "\nstopped; nothing that was finished is lost, and the same command may be given again\n",
        ),
    ],
)
def test_errors_become_codes(run: Run, monkeypatch, error: BaseException, code: int, printed: str) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("earthsynth_factory.recipe.load.load_recipe", fail)
    assert run("plan", "x.yaml") == (code, "", printed)


def test_a_defect_shows_its_traceback(run: Run, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("earthsynth_factory.recipe.load.load_recipe", fail)
    code, out, err = run("plan", "x.yaml")
    assert (code, out) == (1, "")
    assert "ZeroDivisionError: ours" in err
    assert err.endswith("This is a defect of ours, not of your recipe. Please report it with the lines above.\n")


def test_a_package_that_breaks_while_it_is_imported_is_named_with_a_remedy(run: Run, monkeypatch, tmp_path) -> None:
    """As torchvision does beside a torch of another build, deep below what wraps the error."""
    (tmp_path / "brokenvision.py").write_text("raise RuntimeError('operator nms does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)

    def fail(*_: object) -> None:
        try:
            importlib.import_module("brokenvision")
        except RuntimeError as error:
            raise RuntimeError("a lazy import failed") from error

    monkeypatch.setattr("earthsynth_factory.recipe.load.load_recipe", fail)
    code, out, err = run("plan", "x.yaml")
    said = " ".join(err.split())
    assert (code, out) == (2, "")
    assert "the package brokenvision does not load here (operator nms does not exist); installed: torch" in said
    assert "pip install --force-reinstall torch brokenvision" in said and "Traceback" not in err


def test_every_command_says_what_it_does() -> None:
    root = typer.main.get_command(cli.app)
    commands = {**root.commands, **root.commands["recipe"].commands}  # type: ignore[attr-defined]
    assert {"plan", "build", "status", "export", "preview", "doctor", "init", "validate", "schema"} <= set(commands)
    assert all(command.help for command in commands.values())


def test_prepare_says_what_it_took_the_folder_for_and_what_it_left_out(run: Run, tmp_path: Path) -> None:
    source = layouts.kit_ais(tmp_path / "in")
    out = tmp_path / "out"
    code, printed, err = run("prepare", source, "--out", out, "--crop", 0, "--workers", 1)
    assert (code, err) == (0, "")
    assert printed.startswith(f"{out}: 1 images (kit_ais: classes.txt lists car, truck, bus, minibus, cyclist)\n")
    assert "small vehicle: " in printed
    assert "left out: 1× background: left out by the map" in printed
    code, printed, _ = run("stats", out)
    assert code == 0
    assert "large vehicle  1             " in printed
    assert (out / "report" / "statistics.png").read_bytes().startswith(b"\x89PNG")
    assert run("preview", out)[0] == 0
    assert (out / "report" / "preview.png").stat().st_size > 1000
    assert run("export", out, "-f", "coco")[0] == 0
    found = json.loads((out / "exports" / "coco" / "annotations" / "instances_train.json").read_text())
    assert [len(found[key]) for key in ("images", "annotations")] == [1, 2]
    assert found["images"][0]["file_name"] == "mos1.jpg"


def test_prepare_lists_problems_and_asks_for_the_kind(run: Run, tmp_path: Path) -> None:
    source = layouts.dota(tmp_path / "in")
    text = source / "train" / "labelTxt" / "P0001.txt"
    text.write_text(text.read_text() + "rubbish\n")
    code, _, err = run("prepare", source, "--out", tmp_path / "out", "--workers", 1)
    assert code == 0
    assert "1 problems, listed in" in err
    assert f"{text}:5: 'rubbish' is not eight numbers" in err
    assert run("prepare", source, "--out", tmp_path / "strict", "--workers", 1, "--strict")[0] == 2
    layouts.coco_folder(source)
    code, _, err = run("prepare", source, "--out", tmp_path / "two")
    assert code == 2
    assert "say which with --kind" in err


def test_a_folder_of_neither_sort_is_sent_to_prepare(run: Run, tmp_path: Path) -> None:
    for command in ("stats", "preview"):
        code, _, err = run(command, tmp_path)
        assert code == 2
        assert f"earthsynth-factory prepare {tmp_path}" in err
