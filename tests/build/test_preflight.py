"""What is found out before a model is loaded: sources, splits, weights, room; and what a finished build says of its data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest

from earthsynth_factory.build import doubts
from earthsynth_factory.build.preflight import check, space, weights
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.recipe.load import LoadedRecipe, load_recipe
from tests.build.building import RECIPE, run_build, write_recipe

OWN = """\
name: own
image: {size: 64}
categories:
  - {name: solar farm, id: 70, count: 4}
  - {name: ship, count: 4}
conditions:
  - {kind: dataset, path: masks}
synthesis: {kind: fake}
"""


def masks(folder: Path, ids: list[int], count: int = 14) -> None:
    for number in range(count):
        mask = np.zeros((96, 96), np.uint8)
        for place, one in enumerate(ids):
            mask[10:40, 5 + 30 * place : 30 + 30 * place] = one
        mask[50, 50 + number] = ids[0]
        write_bytes(folder / f"masks/m{number:02d}.png", encode_png(mask))


def loaded(folder: Path, text: str, *changes: str) -> LoadedRecipe:
    return load_recipe(write_recipe(folder, text), changes)


def faults(loaded: LoadedRecipe, building: bool = False) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        check(loaded, building=building)
    return [fault.partition("recipe.yaml:")[2] for fault in caught.value.faults]


def test_ids_that_are_read_and_nobody_asks_for_are_offered(tmp_path: Path) -> None:
    masks(tmp_path, [1, 17])
    [fault] = faults(loaded(tmp_path, OWN))
    assert fault.startswith("4:12: categories.0.name: 'solar farm' → no source has masks for it in the split train (3")
    assert "14 masks with id 1 (bare land): if one of them is meant, say `classes: {1: solar farm}`" in fault
    assert check(loaded(tmp_path, OWN, "conditions.0.classes={1: solar farm, 17: ship}")) == []


def test_ids_without_a_meaning_are_counted_by_mask(tmp_path: Path) -> None:
    masks(tmp_path, [200, 17])
    [fault] = faults(loaded(tmp_path, OWN))
    assert fault.startswith("7:27: conditions.0.path: 'masks' → ")
    assert (
        "14 masks with id 200 stand for no category; say which it is under `classes`, as `classes: {200: ship}`"
        in fault
    )


def test_a_class_that_one_scene_alone_has_cannot_feed_two_splits(tmp_path: Path) -> None:
    masks(tmp_path, [17, 70], count=1)
    found = faults(loaded(tmp_path, OWN))
    assert len(found) == 2 and all("1 masks hold it, of too few scenes for every split" in fault for fault in found)
    assert check(loaded(tmp_path, OWN, "splits={train: 1.0}")) == []


def test_every_missing_path_is_named_at_its_place(tmp_path: Path) -> None:
    text = OWN.replace("path: masks}", "path: masks}\n  - {kind: compose, path: elsewhere, weight: 2}")
    found = faults(loaded(tmp_path, text))
    assert [fault[:25] for fault in found] == ["7:27: conditions.0.path: ", "8:27: conditions.1.path: "]


def test_weights_that_are_not_here_stop_a_build_and_not_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RECIPE.replace("{kind: fake}", "{model: {base: someone/base, controlnet: someone/control}}")
    far = loaded(tmp_path, text.replace("rules: [image_quality]", "rules: []"), "image.size=512")
    [warning] = check(far)
    assert "someone/base and someone/control: not on this machine, and HF_HUB_OFFLINE is set" in warning
    assert "synthesis.model" in faults(far, building=True)[0]
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    assert "127.0.0.1 does not answer" in (weights.unreachable() or "")
    monkeypatch.setattr(weights, "unreachable", lambda: None)
    assert "the build downloads it first" in check(far)[0]


def test_a_model_folder_that_is_none_is_said_before_anything_is_made(tmp_path: Path) -> None:
    [fault] = faults(loaded(tmp_path, RECIPE.replace("{kind: fake}", "{model: nowhere}")), building=True)
    assert "synthesis.model: 'nowhere' → model 'nowhere': no such folder" in fault


def test_less_room_than_the_masters_take_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    [warning] = check(loaded(tmp_path, RECIPE), tmp_path / "a/b")
    assert f"0.0 GiB are free in {tmp_path}; free some, choose another --out" in warning


def test_an_export_may_have_classes_of_its_own(tmp_path: Path) -> None:
    exports = "exports: [{kind: yolo-detect, classes: [plane, tanks]}, coco, {kind: semantic, classes: [water]}]"
    text = RECIPE.replace("exports: [coco, semantic]", exports)
    with pytest.raises(RecipeError, match=r"exports\.0\.classes\.1: 'tanks' → unknown category 'tanks'; did you mean"):
        loaded(tmp_path, text)
    run_build(write_recipe(tmp_path, text.replace("tanks", "storage tank")), tmp_path / "out")
    data = (tmp_path / "out/exports/yolo-detect/data.yaml").read_text()
    assert "plane" in data and "storage tank" in data and "building" not in data
    assert json.loads((tmp_path / "out/exports/semantic/classes.json").read_bytes())["classes"] == [
        "background",
        "water",
    ]
    coco = json.loads((tmp_path / "out/exports/coco/annotations/instances_train.json").read_bytes())
    assert len(coco["categories"]) > 3


def test_targets_alone_are_exported_if_labels_say_so(tmp_path: Path) -> None:
    text = RECIPE + "labels: {classes: targets}\n"
    run_build(write_recipe(tmp_path, text), tmp_path / "out")
    coco = json.loads((tmp_path / "out/exports/coco/annotations/instances_train.json").read_bytes())
    assert {one["name"] for one in coco["categories"]} <= {"storage tank", "plane", "water"}
    masks = BuildReader(tmp_path / "out")
    shown = {one for record in masks.samples() for one in record.classes}
    assert len(shown) > 3  # the masters have what was drawn


def test_small_objects_are_counted_and_warned_of(tmp_path: Path) -> None:
    text = RECIPE.replace("0.6..1.2", "6").replace("{candidates: 2, max_attempts: 6, rules: [image_quality]}", "{}")
    result = run_build(write_recipe(tmp_path, text), tmp_path / "out", "categories.plane.count=0")
    store = BuildReader(result.out)
    small = [one for record in store.samples() for one in record.instances if max(one.box[2:]) < doubts.SMALL]
    assert small
    [note] = [note for note in result.notes if note.startswith("Objects under 10 pixels: ")]
    assert note in (result.out / "README.md").read_text()
    assert note in orjson.loads((result.out / "doubts.json").read_bytes())
    assert "Look at this first" in (result.out / "report/index.html").read_text()
    recipe = load_recipe(write_recipe(tmp_path, text)).recipe
    asked = recipe.model_copy(update={"labels": recipe.labels.model_copy(update={"classes": "targets"})})
    plane = store.taxonomy.named("plane").id
    of_others = [one for one in small if one.category not in asked.targets()]
    assert of_others and plane in asked.targets()
    assert len(list(doubts.small_objects(store, recipe))) == 1
    named = " ".join(doubts.small_objects(store, asked))
    assert not any(store.taxonomy[one.category].name in named for one in of_others)  # exports do not have them


def test_images_that_the_default_filter_would_refuse_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_build(write_recipe(tmp_path), tmp_path / "out")
    assert not any("fail the default rules" in note for note in result.notes)  # a dry run is not judged
    store, recipe = BuildReader(result.out), load_recipe(write_recipe(tmp_path)).recipe
    asked = recipe.model_copy(update={"synthesis": recipe.synthesis.model_copy(update={"kind": "other"})})
    [told] = doubts.unlike_the_filter(store, asked)  # coloured masks are no photographs
    assert told.startswith(f"Of {store.count} accepted images that were looked at again, ")
    calibrated = recipe.rfilter.model_copy(update={"thresholds": "embedded", "rules": doubts.FilterSpec().rules})
    assert list(doubts.unlike_the_filter(store, asked.model_copy(update={"rfilter": calibrated}))) == []
