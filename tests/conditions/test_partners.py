"""CF-Comp's criteria choose grounds and objects of composed pictures, by the very scores that the trainer uses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from earthsynth_factory.conditions.compose import ComposeSpec
from earthsynth_factory.domain import partners
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.training.cf_comp import criteria
from tests.conditions.folders import context, want

SHIP, WATER = 17, 6
LIGHTS = {"dark": 20, "grey": 110, "bright": 230}


def _folder(root: Path) -> Path:
    """Water of three lights without a ship and of three with one: `dark` is to be paired with what is bright."""
    items = {}
    for name, light in LIGHTS.items():
        for ships in (0, 1):
            mask, instances = np.full((64, 64), WATER, np.uint8), np.zeros((64, 64), np.uint16)
            if ships:
                mask[20:30, 20:40], instances[20:30, 20:40] = SHIP, 1
            stem = f"{name}{ships}"
            for kind, pixels in (
                ("masks", mask),
                ("instances", instances),
                ("images", np.full((64, 64, 3), light, np.uint8)),
            ):
                (root / kind).mkdir(parents=True, exist_ok=True)
                (root / kind / f"{stem}.png").write_bytes(encode_png(pixels))
            items[stem] = {"group": stem, "split": "train", "metres_per_pixel": 1.0}
    about = {"format": "earthsynth-factory/dataset", "version": 1, "name": "seas", "dense": True, "items": items}
    (root / "dataset.json").write_text(json.dumps({**about, "classes": {"6": "water", "17": "ship"}}))
    return root


def _drawn(folder: Path, cache: Path, count: int = 60, **spec: object) -> list[tuple[str, list[str]]]:
    """(ground, the objects' masks) of each scene."""
    block = {"path": str(folder), "pictures": True, "count": "1..1", "variants": {"rotate": "none"}, **spec}
    source = ComposeSpec.model_validate(block).build(context(cache))
    asked = (want("ship", height=64, width=64, metres_per_pixel=1.0, seed=seed) for seed in range(count))
    details = [source.draw(one).origin.detail for one in asked]
    return [(str(detail["ground"]), _stems(str(detail["objects"]))) for detail in details]


def _stems(objects: str) -> list[str]:
    return [Path(name.partition("#")[0]).stem for name in objects.split(" | ") if name]


def test_grounds_without_the_class_and_objects_of_another_light_are_preferred(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "seas")

    def shares(scenes: list[tuple[str, list[str]]]) -> tuple[float, float]:
        scenes = [(ground, objects) for ground, objects in scenes if objects]
        lacking = np.mean([ground.endswith("0") for ground, _ in scenes])
        other = np.mean([ground[:-1] != one[:-1] for ground, objects in scenes for one in objects])
        return float(lacking), float(other)

    blind, chosen = (
        shares(_drawn(folder, tmp_path / "cache", **spec)) for spec in ({}, {"partners": {"among": 12, "image": 4}})
    )
    assert chosen[0] >= 0.95  # a ground with a ship has one already, and would bring nothing new
    assert chosen[1] >= 0.95 > blind[1] + 0.1


def test_a_criterion_is_switched_off_by_a_weight_of_zero(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "seas")
    scenes = _drawn(folder, tmp_path / "cache", 90, partners={"image": 0, "text": 0, "mask": 0, "among": 12})
    same = [ground[:-1] == one[:-1] for ground, objects in scenes for one in objects]
    assert 0.15 < np.mean(same) < 0.55  # of three lights one third


def test_equal_wants_give_equal_scenes(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "seas")
    first, second = (_drawn(folder, tmp_path / name, 8, partners={}) for name in ("a", "b"))
    assert first == second


def test_partners_need_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="`partners` compares pictures"):
        ComposeSpec.model_validate({"path": "x", "partners": {}})


def test_the_trainer_scores_with_the_same_functions() -> None:
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 4, (3, 16, 16)).astype(np.uint8)
    stats, rare = rng.random((3, 6)), np.ones(256)
    things = np.arange(256) > 1
    batch = criteria.Members(masks, stats, np.array(["a", "b", "a"]), rare, things)
    elsewhere = batch.sources[:, None] != batch.sources[None]
    np.testing.assert_array_equal(criteria.image_score(batch), partners.image_score(stats, stats, elsewhere))
    regions = masks == 3
    shown = partners.mask_score(things[masks].reshape(3, -1), regions.reshape(3, -1))
    np.testing.assert_array_equal(criteria.mask_score(batch, regions, (0.0, 1.0)), shown)
    brought = np.zeros((3, 256), bool)
    brought[:, 9] = True
    np.testing.assert_array_equal(
        criteria.text_score(batch, brought), partners.text_score(batch.shares() > 0, brought, rare)
    )
