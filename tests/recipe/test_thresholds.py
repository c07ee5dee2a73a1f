"""Thresholds from a file: what a user reads when it is wrong, and what of it decides."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from earthsynth_factory.errors import RecipeError
from earthsynth_factory.recipe.load import load_recipe
from earthsynth_factory.recipe.reading import MAX_BYTES
from earthsynth_factory.recipe.thresholds import load_thresholds

RECIPE = """\
name: x
categories: [{name: plane, count: 3}, {name: pond, color: "#203040", count: 1}]
conditions: [{kind: procedural}]
synthesis: {kind: fake}
rfilter:
  rules: [image_quality, {kind: clip_score, rank: 1}]
  thresholds: learnt.yaml
"""
GOOD = """\
learnt_from: 48 images
rules:
  clip_score:
    settings: {model: embedded}
    least: {all: -0.1, Plane: 0.05, pond: 0}
  instance_class:
    least: {all: 0.5}
"""


def _faults(folder: Path, learnt: str | None = GOOD, recipe: str = RECIPE) -> list[str]:
    (folder / "r.yaml").write_text(recipe)
    if learnt is not None:
        (folder / "learnt.yaml").write_text(learnt)
    with pytest.raises(RecipeError) as caught:
        load_recipe(folder / "r.yaml")
    return [fault.replace(f"{folder}/", "") for fault in caught.value.faults]


def test_a_class_has_its_own_and_the_others_that_of_all(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "learnt.yaml").write_text(GOOD)
    loaded = load_recipe(tmp_path / "r.yaml")
    found = load_thresholds(loaded.recipe, loaded.base)
    assert dict(found.least) == {"clip_score": {None: -0.1, 16: 0.05, 69: 0.0}}
    assert found.plain() == {"clip_score": {"all": -0.1, "16": 0.05, "69": 0.0}}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("all: -0.1", "all: low", "learnt.yaml:5:18: rules.clip_score.least.all: 'low' → must be a number"),
        ("all: -0.1", "all: true", "learnt.yaml:5:18: rules.clip_score.least.all: true → must be a number"),
        ("all: -0.1", "all: .nan", "learnt.yaml:5:18: rules.clip_score.least.all: '.nan' → is no finite number of usual size"),
        ("Plane", "plan", "learnt.yaml:5:24: rules.clip_score.least.plan → unknown category 'plan'; did you mean 'plane' or 'agriculture land'?"),
        ("pond: 0", "plane: 0", "learnt.yaml:5:37: rules.clip_score.least.plane → the same class as 'Plane'; keep one of the two"),
        ("least: {all: 0.5}", "least: {}", "learnt.yaml:7:12: rules.instance_class.least: {} → needs at least 1 of them, not 0"),
        ("  instance_class", "  instances_class", "learnt.yaml:6:3: rules.instances_class → no rule is called so; there are clip_score, instance_class, image_quality, artefacts, object_size, region_contrast, layout_agreement, changed, kept, outside"),
        ("model: embedded", "model: other", "learnt.yaml:4:23: rules.clip_score.settings.model: 'other' → calibrated with this, the recipe has 'embedded'; calibrate again, or write the same there"),
        ("learnt_from", "learned_from", "learnt.yaml:1:1: learned_from → unknown key; did you mean 'learnt_from'?"),
        ("settings:", "!!python/name:os.system x:", "learnt.yaml:4:5: rules.clip_score: 'x' → the tag tag:yaml.org,2002:python/name:os.system is not used in recipes; remove it"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_at_its_place(old: str, new: str, fault: str, tmp_path: Path) -> None:
    assert old in GOOD
    assert fault in _faults(tmp_path, GOOD.replace(old, new))


def test_the_recipe_is_to_blame_where_it_is(tmp_path: Path) -> None:
    assert _faults(tmp_path, None) == [
        "r.yaml:7:15: rfilter.thresholds: 'learnt.yaml' → no such file; `filter --calibrate` writes one"
    ]
    twice = RECIPE.replace("rank: 1", "min_margin: -0.3")
    assert _faults(tmp_path, GOOD, twice) == [
        "r.yaml:6:57: rfilter.rules.1.min_margin: -0.3 → learnt.yaml has thresholds of clip_score too; "
        "remove this one, or those"
    ]


def test_hostile_files_are_bounded(tmp_path: Path) -> None:
    assert "larger than 4 MiB" in _faults(tmp_path, "#" * (MAX_BYTES + 1))[0]
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(8)
    )
    assert "more than 100000 values" in _faults(tmp_path, bomb)[0]
    (tmp_path / "learnt.yaml").unlink()
    os.mkfifo(tmp_path / "learnt.yaml")
    assert "no such file" in _faults(tmp_path, None)[0]
