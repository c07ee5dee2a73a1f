"""What a user reads when a recipe is wrong: asserted to the letter, with line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from earthsynth_factory.domain.plugins import plugins_allowed
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.recipe.load import export_blocks, load_recipe, parse_recipe
from earthsynth_factory.recipe.reading import MAX_BYTES

GOOD = """\
name: tanks
seed: 3
image: {size: 64, metres_per_pixel: 0.5..1}
categories:
  - name: Storage-Tanks
    count: 10
    instances: 2..12
  - {name: plane, count: 4}
conditions:
  - {kind: procedural}
synthesis: {kind: fake}
splits: {train: 0.7, val: 0.2, test: 0.1}
exports: [coco]
"""


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    """The plug-ins of these tests are ours."""
    with plugins_allowed():
        yield


def faults(text: str, *changes: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "r.yaml", changes)
    return caught.value.faults


def test_a_good_recipe_loads() -> None:
    recipe = parse_recipe(GOOD, "r.yaml")
    assert recipe.image.metres_per_pixel == (0.5, 1.0)
    assert recipe.categories[0].instances == (2, 12)
    assert recipe.targets() == (25, 16)
    assert recipe.images == 14
    assert [block.kind for block in recipe.conditions] == ["procedural"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("seed: 3", "sede: 3", "r.yaml:2:1: sede → unknown key; did you mean 'seed'?"),
        ("seed: 3", "seed: three", "r.yaml:2:7: seed: 'three' → must be a whole number"),
        ("seed: 3", "seed: true", "r.yaml:2:7: seed: true → must be a whole number"),
        ("seed: 3", "seed: -1", "r.yaml:2:7: seed: -1 → must be at least 0"),
        ("seed: 3", "seed: .inf", "r.yaml:2:7: seed: '.inf' → is no finite number of usual size"),
        ("seed: 3", "seed: !!python/name:os.system", "r.yaml:2:7: seed: '' → the tag tag:yaml.org,2002:python/name:os.system is not used in recipes; remove it"),
        ("seed: 3", "name: again", "r.yaml:2:1: name → this key is given already at 1:1; keep one"),
        ("name: tanks", "name: 2026", "r.yaml:1:7: name: 2026 → must be a text (in quotes, if it looks like a number)"),
        ("instances: 2..12", "instances: 2..x.5", "r.yaml:7:16: categories.0.instances: '2..x.5' → write a number, `low..high` or [low, high]"),
        ("instances: 2..12", "instances: 1.5..2", "r.yaml:7:16: categories.0.instances: '1.5..2' → must be a whole number"),
        ("size: 64", "size: 100", "r.yaml:3:15: image.size: 100 → must be a multiple of 8"),
        ("size: 64", "size: big", "r.yaml:3:15: image.size: 'big' → must be a number of pixels, or [height, width]"),
        ("{kind: fake}", "{kind: fake}\nengine: {device: gpu7}", "r.yaml:12:18: engine.device: 'gpu7' → has characters that do not fit here (pattern ^(auto|cpu|mps|cuda(:[0-9]+)?)$)"),
        ("size: 64", "size: [64, 8]", "r.yaml:3:20: image.size.1: 8 → must be at least 16"),
        ("0.5..1}", "1..0.5}", "r.yaml:3:37: image.metres_per_pixel: '1..0.5' → the lower end 1 exceeds the upper end 0.5; swap them"),
        ("0.5..1}", "fine}", "r.yaml:3:37: image.metres_per_pixel: 'fine' → write a number, `low..high` or [low, high]"),
        ("Storage-Tanks", "storge tank", "r.yaml:5:11: categories.0.name: 'storge tank' → unknown category 'storge tank'; did you mean 'storage tank'? (a class of your own needs one of `id`, `color`, `thing`)"),
        ("Storage-Tanks", "background", "r.yaml:5:11: categories.0.name: 'background' → is what no class covers; for images without objects use `negatives`"),
        ("{name: plane", "{name: oil tank", "r.yaml:8:12: categories.1.name: 'oil tank' → the same class as categories.0; give one of the two the whole count"),
        ("    count: 10\n", "", "r.yaml:5:5: categories.0.count → is missing; add it (how many images must contain it)"),
        ("count: 4", "count: 4, color: [1, 2, 3]", "r.yaml:8:36: categories.1.color: [1, 2, 3] → 'plane' is built in (id 16); remove this key, or choose another name"),
        ("count: 4", "count: 4, context: [pavment]", "r.yaml:8:39: categories.1.context.0: 'pavment' → unknown category 'pavment'; did you mean 'pavement'?"),
        ("name: plane", "name: water, size: 3", "r.yaml:8:25: categories.1.size: 3 → 'water' is land cover and has no objects; remove this key"),
        ("name: plane", "name: solar panel, id: 25", "r.yaml:8:29: categories.1.id: 25 → belongs to the built-in 'storage tank'; choose one in 69–254, or leave it out"),
        ("kind: procedural", "kind: procedrual", "r.yaml:10:12: conditions.0.kind: 'procedrual' → unknown condition source kind 'procedrual'; did you mean 'procedural'? (a plug-in is written package.module:Class)"),
        ("kind: procedural", "kind: procedural, densty: 1", "r.yaml:10:24: conditions.0.densty → unknown key; did you mean 'density'?"),
        ("  - {kind: procedural}", "  []", "r.yaml:10:3: conditions: [] → masks must come from somewhere; `- kind: procedural` needs no data"),
        ("{kind: fake}", "{grain: 3}", "r.yaml:11:12: synthesis: {grain} → expected `kind:` with a word; known kinds: controlnet, edit, collage, fake"),
        ("{kind: fake}", "{model: embedded, scheduler: unpc}", "r.yaml:11:41: synthesis.scheduler: 'unpc' → must be 'model', 'unipc', 'dpm++', 'dpm++-karras', 'dpm++-sde', 'ddim', 'euler', 'euler-a', 'heun', 'lcm' or 'tcd'; did you mean 'unipc'?"),
        ("test: 0.1", "test: 0.2", "r.yaml:12:9: splits: {train, val, test} → the shares sum to 1.1, not to 1; change one by -0.1"),
        ("test: 0.1", "test: 0.1, none: 0", "r.yaml:12:49: splits.none: 0 → must be above 0"),
        ("[coco]", "[coco, coco]", "r.yaml:13:17: exports.1: 'coco' → `coco` is given twice; keep one of them"),
    ],
)  # fmt: skip
def test_one_fault(old: str, new: str, fault: str) -> None:
    assert old in GOOD
    assert faults(GOOD.replace(old, new)) == [fault]


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace("seed", "sede").replace("count: 4", "count: -4").replace("0.7", "0.9").replace("plane", "plain")
    found = faults(text, "image.size=65", "rfilter.candidates=zero")
    assert [line.partition(" → ")[0] for line in found] == [
        "r.yaml:2:1: sede",
        "r.yaml:8:12: categories.1.name: 'plain'",
        "r.yaml:8:26: categories.1.count: -4",
        "r.yaml:12:9: splits: {train, val, test}",
        "--set image.size=65: image.size: 65",
        "--set rfilter.candidates=zero: rfilter.candidates: 'zero'",
    ]


def test_no_is_a_word_and_a_date_is_text() -> None:
    text = GOOD.replace("{name: plane,", "{name: no, thing: true, words: 2026-01-01,")
    recipe = parse_recipe(text, "r.yaml")
    assert recipe.taxonomy()[69].name == "no"
    assert recipe.words() == {69: "2026-01-01"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "r.yaml:1:1 → the file is empty; `earthsynth-factory recipe init` writes a starter"),
        ("# only a comment\n", "r.yaml:1:1 → the file is empty; `earthsynth-factory recipe init` writes a starter"),
        ("- a\n", "r.yaml:1:1 → a recipe is a block of keys (name:, categories:, …); `earthsynth-factory recipe init` writes a starter"),
        ("name: x\n\tseed: 3\n", "r.yaml:2:1 → a tab indents this line; use spaces"),
        ("name: a: b\n", "r.yaml:1:8 → is no YAML: mapping values are not allowed here; put text with a colon in quotes, or mend the indentation"),
        ("name: *x\n", "r.yaml:1:7 → is no YAML: found undefined alias 'x'; an alias needs an anchor (&name) before it"),
        ("[" * 3000, "r.yaml → nested more than 50 deep; no recipe is"),
        ("a: " + "[" * 60 + "]" * 60, "r.yaml → nested more than 50 deep; no recipe is"),
    ],
)  # fmt: skip
def test_what_is_no_recipe(text: str, fault: str) -> None:
    assert faults(text)[0] == fault


def test_alias_bomb_is_stopped() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert faults("\n".join(lines)) == [
        "r.yaml → more than 100000 values, aliases counted in full; no recipe has as many"
    ]


def test_aliases_and_merges_work() -> None:
    text = GOOD.replace("  - name: Storage-Tanks\n    count: 10", "  - &base\n    name: Storage-Tanks\n    count: 10")
    recipe = parse_recipe(text.replace("{name: plane, count: 4}", "{<<: *base, name: plane}"), "r.yaml")
    assert recipe.categories[1].count == 10
    assert recipe.categories[1].instances == (2, 12)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"name: \xff\xfe\n", "{path}:1 → is not UTF-8; save the file as UTF-8"),
        (b"#" * (MAX_BYTES + 1), "{path} → larger than 4 MiB; is it a recipe?"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert caught.value.faults == [fault.format(path=path)]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(GOOD)
    with pytest.raises(RecipeError, match=r"recipes.yaml → no such file; did you mean '.*/recipe.yaml'\?"):
        load_recipe(tmp_path / "recipes.yaml")
    with pytest.raises(RecipeError, match=r"→ is a folder; name a recipe file in it: recipe.yaml"):
        load_recipe(tmp_path)
    loaded = load_recipe(tmp_path / "recipe.yaml", ["seed=9"])
    assert (loaded.recipe.seed, loaded.text, loaded.base) == (9, GOOD, tmp_path.resolve())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("seed=12", lambda r: r.seed == 12),
        ("categories.0.count=5", lambda r: r.categories[0].count == 5),
        ("categories.plane.count=5", lambda r: r.categories[1].count == 5),
        ("categories.storage tank.instances=3", lambda r: r.categories[0].instances == (3, 3)),
        ("conditions.procedural.weight=2", lambda r: r.conditions[0].weight == 2),
        ("categories.2={name: ship, count: 1}", lambda r: r.targets() == (25, 16, 17)),
        ("rfilter.max_attempts=3", lambda r: r.rfilter.max_attempts == 3),
        ("image.size=[64, 128]", lambda r: (r.image.height, r.image.width) == (64, 128)),
        ("exports=[]", lambda r: r.exports == ()),
    ],
)
def test_set(change: str, found) -> None:  # type: ignore[no-untyped-def]
    assert found(parse_recipe(GOOD, "r.yaml", [change]))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("seed", "--set seed → write it as key=value, as in image.size=256"),
        ("a.b=3", "--set a.b=3: a → unknown key; known here: name, seed, image, categories, negatives, counterfactual, prompts, conditions, synthesis, rfilter, labels, splits, exports, engine"),
        ("categories.ships.count=1", "--set categories.ships.count=1 → `categories` has 2 items, numbered from 0; none of them is 'ships'"),
        ("seed.x=1", "--set seed.x=1 → `seed` is 3, which has no keys"),
        ("seed=[1", "--set seed=[1 → is no YAML: expected ',' or ']'"),
    ],
)  # fmt: skip
def test_set_faults(change: str, fault: str) -> None:
    assert faults(GOOD, change)[0].startswith(fault)


def test_plugins_are_imported_and_validated() -> None:
    text = GOOD.replace("kind: procedural", "kind: tests.recipe.plugins:Source, shapes: [{side: 3}], either: {side: 2}")
    assert parse_recipe(text, "r.yaml").conditions[0].shapes[0].side == 3
    assert faults(text.replace("side: 3", "sid: 3, side: 0")) == [
        "r.yaml:10:51: conditions.0.shapes.0.sid → unknown key; did you mean 'side'?",
        "r.yaml:10:65: conditions.0.shapes.0.side: 0 → must be above 0",
    ]
    assert faults(text.replace("{side: 2}", "two")) == [
        "r.yaml:10:70: conditions.0.either: 'two' → must be a whole number or a block of keys"
    ]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("tests.recipe.plugins:Threshold", "must derive from earthsynth_factory.conditions.base.SourceSpec"),
        (
            "tests.recipe.plugins:Nothing",
            "cannot be imported: module 'tests.recipe.plugins' has no attribute 'Nothing'",
        ),
        ("no_such_package.x:Y", "cannot be imported: No module named 'no_such_package'; is its package installed?"),
        ("'.:x'", "cannot be imported"),
        ("'os:path'", "is no Spec class"),
        ("tests.recipe.plugins:Kindless", "has no field `kind`; add `kind: str` to the class"),
    ],
)
def test_plugins_that_cannot_be_used(kind: str, message: str) -> None:
    found = faults(GOOD.replace("kind: procedural", f"kind: {kind}"))
    assert len(found) == 1
    assert found[0].startswith("r.yaml:10:12: conditions.0.kind:")
    assert message in found[0]


def test_export_blocks() -> None:
    (coco,) = export_blocks(["coco"], ["coco.polygons=true"])
    assert coco.model_dump()["polygons"] is True
    told = "exports.0.kind: 'coc' → unknown export kind 'coc'; did you mean 'coco' or 'coco-panoptic'?"
    with pytest.raises(RecipeError, match=re.escape(told)):
        export_blocks(["coc"])
    with pytest.raises(RecipeError, match="`coco` is given twice"):
        export_blocks(["coco", "coco"])
