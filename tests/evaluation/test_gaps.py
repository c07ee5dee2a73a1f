"""The next recipe makes what is rare and missed, of the sizes that are missed, with a reason for every line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from earthsynth_factory.cli import app
from earthsynth_factory.datasets.open import open_dataset
from earthsynth_factory.errors import InputError
from earthsynth_factory.evaluation.gaps import Errors, Inventory, Stock, errors_of_predictions, inventory
from earthsynth_factory.evaluation.next_recipe import next_recipe
from earthsynth_factory.evaluation.run import evaluate
from earthsynth_factory.evaluation.session import Events
from earthsynth_factory.recipe.load import load_recipe, parse_recipe
from tests.evaluation import planted


def _stock(name: str, images: int, **more: object) -> Stock:
    one = Stock(name, thing=True, images=images, counts=[1, 2, 3, 4, 5], sizes=[16.0] * 8 + [200.0] * 8, scales=[0.5])
    for key, value in more.items():
        setattr(one, key, value)
    return one


def _errors(truth: int, missed: int, size: str = "large", **more: object) -> Errors:
    return Errors(Counter({size: truth}), Counter({size: missed}), **more)  # type: ignore[arg-type]


def test_scarce_and_missed_classes_get_most(tmp_path: Path) -> None:
    stock = {name: _stock(name, images) for name, images in (("ship", 400), ("plane", 100), ("bridge", 100))}
    errors = {"ship": _errors(100, 50), "plane": _errors(100, 50), "bridge": _errors(100, 5)}
    recipe = parse_recipe(next_recipe(Inventory(500, 128, stock), errors, "a test", "mine", 100, "embedded"), "next")
    counts = {block.name: block.count for block in recipe.categories}
    assert counts["plane"] > counts["ship"] > counts["bridge"]
    assert recipe.images == 100


def test_every_line_tells_its_reason() -> None:
    errors = {"ship": _errors(90, 45, hallucinated=30.0, seen=60.0, confused=Counter({"harbor": 30}))}
    text = next_recipe(Inventory(50, 640, {"ship": _stock("ship", 20)}), errors, "a test", "mine", 40, "embedded")
    assert "in 20 of 50 real images, 50% missed (33% taken for harbor)" in text
    assert "negatives: 10 # 50% of what is seen is not there, most of it ship" in text
    assert "instances: 1..5" in text


def test_the_size_that_is_missed_is_made() -> None:
    errors = Errors(Counter(small=50, large=50), Counter(small=40, large=2))
    inventory_ = Inventory(50, 640, {"ship": _stock("ship", 20)})
    recipe = parse_recipe(next_recipe(inventory_, {"ship": errors}, "a test", "mine", 40, "embedded"), "next")
    assert recipe.categories[0].size == (8.0, 8.0), "16 pixels of half a metre"


def test_names_of_any_kind_make_a_valid_recipe() -> None:
    stock = {name: _stock(name, 5) for name in ("no", "my: class #1", '"quoted"', "plane")}
    recipe = parse_recipe(next_recipe(Inventory(9, 100, stock), {}, "a test", "a: b # c\nd", 20, "embedded"), "next")
    assert {block.name for block in recipe.categories} == set(stock)


def test_errors_are_counted_from_coco_results(tmp_path: Path) -> None:
    """The first object of every image is found, a second is called by another name, the rest is missed; one is made up."""
    dataset = open_dataset(planted.real(tmp_path / "real", 0, objects=True))
    rows, truth, confused = [], Counter[str](), Counter[str]()
    for record in dataset.samples():
        base = {"image_id": record.slot + 1, "score": 0.9}
        for number, one in enumerate(record.instances[:2]):
            other = planted.TANK + planted.PLANE - one.category
            rows.append({**base, "bbox": one.box, "category_id": one.category if number == 0 else other})
            confused[dataset.taxonomy[one.category].name] += number
        truth.update(dataset.taxonomy[one.category].name for one in record.instances)
        rows.append({**base, "bbox": [0, 0, 1, 1], "category_id": planted.TANK})
        rows.append({**base, "bbox": [0, 0, 9, 9], "category_id": planted.PLANE, "score": 0.1})
    path = tmp_path / "results.json"
    path.write_bytes(orjson.dumps(rows))
    found, _ = errors_of_predictions(dataset, path)
    assert {name: one.truth.total() for name, one in found.items()} == truth
    assert {name: one.confused.total() for name, one in found.items()} == confused
    assert found["storage tank"].hallucinated == dataset.count and found["plane"].hallucinated == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "not a list"),
        ("[1]", "result 1: no image_id"),
        ('[{"image_id": 1, "category_id": 25, "bbox": [0, 0, 1], "score": 1}]', "result 1: no image_id"),
        ('[{"image_id": 1, "category_id": 250, "bbox": [0, 0, 1, 1], "score": 1}]', "category_id 250 is none of"),
        ('[{"image_id": 999, "category_id": 25, "bbox": [0, 0, 1, 1], "score": 1}]', "image_id 999 is no image of"),
        ("[", "no readable JSON"),
    ],
)
def test_rubbish_is_named(tmp_path: Path, text: str, message: str) -> None:
    dataset = open_dataset(planted.real(tmp_path / "real", 0, train=1, held=1, objects=True))
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match=message):
        errors_of_predictions(dataset, tmp_path / "results.json")


def test_a_dataset_without_train_is_named(tmp_path: Path) -> None:
    dataset = open_dataset(planted.write(tmp_path / "real", [("a", "test", planted.picture(0, 0))]))
    with pytest.raises(InputError, match="no train split"):
        inventory(dataset)


def test_from_an_evaluation_by_command(tmp_path: Path) -> None:
    real = planted.real(tmp_path / "real", 0, train=4, held=3, objects=True)
    made = planted.made(tmp_path / "made", planted.more(tmp_path, 0, 2, objects=True))
    evaluate(planted.asked(real, made, "detect", arms=("real",), steps=2), tmp_path / "out", Events())
    given = [
        "recipe",
        "from-gaps",
        "--real",
        str(real),
        "--evaluation",
        str(tmp_path / "out"),
        "-o",
        str(tmp_path / "n.yaml"),
    ]
    ended = CliRunner().invoke(app, given)
    assert ended.exit_code == 0, ended.output
    recipe = load_recipe(tmp_path / "n.yaml").recipe
    assert recipe.images == 200 and {block.name for block in recipe.categories} == {"storage tank", "plane"}
    assert "2 seeds on 100 % of the real images" in (tmp_path / "n.yaml").read_text()
    assert CliRunner().invoke(app, given).exit_code == 2, "an existing file is not overwritten"
