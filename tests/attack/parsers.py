"""Damaged bytes straight into what parses them: pickles, masks, pictures, YAML, XML, class maps, recipes, expressions."""

from __future__ import annotations

import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from tests.attack import training
from tests.attack.inputs import RECIPE, Inputs
from tests.attack.mutations import damaged
from tests.attack.outcome import Outcome
from tests.importers import layouts

Parse = Callable[[Path], object]


def attack(folder: Path, inputs: Inputs, count: int, seed: int) -> Iterator[Outcome]:
    """So many damaged files for each parser: a value, or an error of ours."""
    from earthsynth_factory.errors import FactoryError

    for name, files, parse in _parsers(folder, inputs):
        outcome = Outcome(f"damaged bytes: {name}")
        for number in range(count):
            chance = random.Random(f"{name} {seed} {number}")
            source = chance.choice(files)
            path = folder / f"damaged{source.suffix}"
            path.write_bytes(damaged(source, chance))
            try:
                parse(path)
                outcome.count(None)
            except FactoryError as error:
                outcome.count(None if error.exit_code != 1 else f"case {number}: {error}")
            except Exception as error:
                outcome.count(f"case {number}: {type(error).__name__}: {error}")
        yield outcome


def _parsers(folder: Path, inputs: Inputs) -> Iterator[tuple[str, list[Path], Parse]]:
    from earthsynth_factory.evaluation.spec import EvaluationRecipe
    from earthsynth_factory.importers.classes import read_map
    from earthsynth_factory.importers.readers.pickles import read_plain
    from earthsynth_factory.importers.yaml_of_strangers import read_yaml
    from earthsynth_factory.io.id_masks import read_ids
    from earthsynth_factory.io.pictures import Picture
    from earthsynth_factory.recipe.load import load_block, load_recipe
    from earthsynth_factory.training.controlnet.spec import ControlNetRecipe

    def picture(path: Path) -> None:
        with Picture(path) as opened:
            if opened.dtype == "uint8":
                opened.rgb(0, min(opened.shape[0], 64))
            opened.metres_per_pixel()

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield "pickles", _pickles(folder), read_plain
    yield "id masks", sorted((inputs.build / "shards").rglob("masks/*.png")), read_ids
    yield "pictures", _pictures(folder), picture
    (folder / "map.yaml").write_text('car: small vehicle\npanel: {id: 100}\n"#3C1098": building\n12: road\n')
    yield "class maps", [folder / "map.yaml"], read_map
    (folder / "data.yaml").write_text("path: .\ntrain: images\nnames: {0: ship, 1: storage tank}\n")
    yield "data.yaml", [folder / "data.yaml"], read_yaml
    (folder / "r.yaml").write_text(RECIPE)
    yield "recipes", [folder / "r.yaml"], load_recipe
    (folder / "e.yaml").write_text(
        "real: a\nsynthetic: [b]\ntask: detect\nseeds: 3\nshares: [0.5, 1]\nmodel: {weights: none}\n"
    )
    yield "evaluation recipes", [folder / "e.yaml"], lambda path: load_block(path, lambda _: EvaluationRecipe)
    (folder / "t.yaml").write_text(training.RECIPE.format(scenes="s", base="b"))
    yield "training recipes", [folder / "t.yaml"], lambda path: load_block(path, lambda _: ControlNetRecipe)


def _pickles(folder: Path) -> list[Path]:
    objects = [
        {"mask": {"size": [64, 96], "counts": "abc"}, "label": 13, "bbox": np.float32([1, 2]), "size": np.int64(8)}
    ]
    for protocol in range(6):
        (folder / f"{protocol}.pkl").write_bytes(pickle.dumps(objects, protocol))
    return sorted(folder.glob("*.pkl"))


def _pictures(folder: Path) -> list[Path]:
    image = layouts.image(folder / "a.png")
    pixels = cv2.imread(str(image))
    for suffix in (".jpg", ".tif", ".bmp"):
        cv2.imwrite(str(folder / f"a{suffix}"), pixels)
    return sorted(folder.glob("a.*"))
