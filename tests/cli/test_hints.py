"""No dead ends: what goes wrong says what to do, in words that work when they are followed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from tests.build.building import RECIPE, write_recipe
from tests.cli.conftest import Run

RECIPES = Path(__file__).parents[2] / "recipes"


def picture(path: Path, seed: int = 0) -> None:
    write_bytes(path, encode_png(np.random.default_rng(seed).integers(0, 255, (48, 48, 3), dtype=np.uint8)))


def test_a_word_that_begins_several_kinds_names_them_all(run: Run, tmp_path: Path) -> None:
    run("build", write_recipe(tmp_path), "-o", tmp_path / "out")
    _, _, err = run("export", tmp_path / "out", "-f", "yolo")
    assert "did you mean 'yolo-detect' or 'yolo-segment' or 'yolo-obb'?" in err


def test_recipes_that_were_given_to_the_wrong_command_say_the_right_one(run: Run) -> None:
    train, build = RECIPES / "train_tiny.yaml", RECIPES / "quickstart.yaml"
    for command in ("build", "plan"):
        code, out, err = run(command, train)
        assert (code, out) == (2, "")
        assert err == f"error: {train} → is a recipe of a training: earthsynth-factory train {train}\n"
    code, out, err = run("train", build)
    assert (code, out) == (2, "")
    assert err == f"error: {build} → is a recipe of a dataset: earthsynth-factory build {build}\n"
    code, out, _ = run("recipe", "validate", train)
    assert code == 0 and "valid; a training of" in out
    assert run("recipe", "validate", train, "--set", "optim.lr=-1")[0] == 2
    assert json.loads(run("recipe", "validate", train, "--json")[1])["recipe"]["kind"] == "controlnet"


def test_set_names_the_nearest_item(run: Run, tmp_path: Path) -> None:
    _, _, err = run("recipe", "validate", write_recipe(tmp_path), "--set", "categories.plan.count=3")
    assert "none of them is 'plan'; did you mean 'plane'?" in err
    _, _, err = run("recipe", "validate", write_recipe(tmp_path), "--set", "categories.zebra.count=3")
    assert "there are storage tank, plane, water" in err


def test_a_wrong_name_in_keep_has_a_column_of_its_own(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "data/images/a.png")
    config = tmp_path / "f.yaml"
    config.write_text("rules: [image_quality, artefacts]\nkeep: image_quality and (artefact >= 0.4)\n")
    _, _, err = run("filter", tmp_path / "data", "--config", config, "-o", tmp_path / "out")
    assert f"{config}:2:26: keep: 'image_quality and (artefact >= 0.4)' → no rule is called 'artefact'" in err
    assert "did you mean 'artefacts'?" in err


def test_remake_says_how_many_there_are(run: Run, tmp_path: Path) -> None:
    run("build", write_recipe(tmp_path), "-o", tmp_path / "out")
    _, _, err = run("remake", tmp_path / "out", 99, "--out", tmp_path / "again", "--base", tmp_path)
    assert "slot 99: there are 32, 0–31; give the number of an image" in err


def test_filter_here_writes_beside_and_not_into_what_it_reads(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("build", write_recipe(tmp_path), "-o", tmp_path / "out")
    config = tmp_path / "f.yaml"
    config.write_text("rules: [image_quality]\n")
    monkeypatch.chdir(tmp_path / "out")
    code, out, _ = run("filter", ".", "--config", config)
    assert code == 0 and str(tmp_path / "out-filter") in out and (tmp_path / "out-filter/keep.txt").is_file()
    for _ in range(2):
        assert run("filter", ".", "--config", config, "--apply", "link")[0] == 0


def test_pictures_of_the_authors_script_ask_for_their_control_images(run: Run, tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"made/storage_tank_layout_{number}.png", number)
    _, _, err = run("filter", tmp_path / "made", "-o", tmp_path / "out")
    assert "pictures as EarthSynth's test.py names them" in err and "copy those into the folder" in err
    mask = np.zeros((48, 48, 3), np.uint8)
    mask[10:30, 10:30] = 25
    (tmp_path / "made/control").mkdir()
    PIL.Image.fromarray(mask).save(tmp_path / "made/control/layout.png")
    config = tmp_path / "f.yaml"
    config.write_text("rules: [image_quality]\n")
    assert run("filter", tmp_path / "made", "--config", config, "-o", tmp_path / "out")[0] == 0  # when it is followed


def test_masks_without_images_say_what_can_be_done_with_them(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "data/masks/a.png")
    _, _, err = run("filter", tmp_path / "data", "-o", tmp_path / "out")
    assert "masks without images" in err and "recipe init --for own-masks" in err


def test_reasons_are_those_of_the_whole_folder(run: Run, tmp_path: Path) -> None:
    text = RECIPE.replace("rules: [image_quality]", "rules: [{kind: image_quality, min_contrast: 200}]")
    path = write_recipe(tmp_path, text)
    first = run("build", path, "-o", tmp_path / "out")
    again = run("build", path, "-o", tmp_path / "out")
    assert first[0] == again[0] == 3
    for _, out, err in (first, again):
        assert "not kept: 192× image_quality" in out and "Why images were not kept: image_quality 192×" in err


def test_one_image_from_one_mask(run: Run, tmp_path: Path) -> None:
    mask = np.zeros((200, 160), np.uint8)
    mask[60:100, 40:120] = 255
    write_bytes(tmp_path / "m.png", encode_png(mask))
    code, out, err = run("generate", tmp_path / "m.png", "ship", "-o", tmp_path / "ship.png", "--device", "cpu")
    assert (code, err) == (0, "")
    assert out.split() == [str(tmp_path / name) for name in ("ship.png", "ship_mask.png", "ship.json")]
    with PIL.Image.open(tmp_path / "ship.png") as made, PIL.Image.open(tmp_path / "ship_mask.png") as labels:
        assert made.size == labels.size == (104, 128)
        assert set(np.unique(np.asarray(labels))) == {0, 17}
    told = json.loads((tmp_path / "ship.json").read_bytes())
    assert [one["category"] for one in told["objects"]] == ["ship"] and "ship" in told["prompt"]
    code, _, err = run("generate", tmp_path / "m.png", "windmill", "-o", tmp_path / "ship.png", "--device", "cpu")
    assert code == 0 and "has not learnt windmill" in err


def test_a_picture_takes_the_place_of_nothing_foreign(run: Run, tmp_path: Path) -> None:
    mask = encode_png(np.full((32, 32), 1, np.uint8))
    for name in ("ship_mask.png", "photo.png", "m.png"):
        write_bytes(tmp_path / name, mask)
    (tmp_path / "notes.json").write_text("mine")
    (tmp_path / "link.png").symlink_to("elsewhere.png")
    for given, out in (("ship_mask", "ship"), ("m", "m"), ("m", "photo"), ("m", "notes"), ("m", "link")):
        code, _, err = run("generate", tmp_path / f"{given}.png", "ship", "-o", tmp_path / f"{out}.png")
        assert code == 2 and "`generate` did not write it" in err
    assert (tmp_path / "ship_mask.png").read_bytes() == mask and (tmp_path / "notes.json").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 5


def test_a_mask_that_shows_something_else_is_named(run: Run, tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    write_bytes(tmp_path / "none.png", encode_png(mask))
    mask[:20], mask[30:] = 4, 6
    write_bytes(tmp_path / "two.png", encode_png(mask))
    out = tmp_path / "x.png"
    assert "shows nothing" in run("generate", tmp_path / "none.png", "ship", "-o", out)[2]
    assert "has the ids 4, 6" in run("generate", tmp_path / "two.png", "ship", "-o", out)[2]
    assert "call it x.png" in run("generate", tmp_path / "two.png", "water", "-o", tmp_path / "x.jpg")[2]
    assert not out.exists()
