"""A build with thresholds from a file: they decide class by class, in the retry loop, and belong to the fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import to_line
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.plugins import plugins_allowed
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.filtering.run import FilterOptions, run_filter
from earthsynth_factory.recipe.load import load_recipe
from earthsynth_factory.rfilter.judge import Judge, Limits
from earthsynth_factory.rfilter.thresholds import Thresholds
from tests.build.building import RECIPE, run_build, write_recipe
from tests.making import make_store
from tests.recipe.plugins import Threshold

TANK, PLANE, WATER = 25, 16, 6
LEARNT = RECIPE.replace("rules: [image_quality]", "rules: [image_quality], thresholds: learnt.yaml")


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    """The plug-ins of these tests are ours."""
    with plugins_allowed():
        yield


def _recipe(folder: Path, least: str) -> Path:
    (folder / "learnt.yaml").write_text(f"rules: {{image_quality: {{least: {{{least}}}}}}}\n")
    return write_recipe(folder, LEARNT)


def test_each_class_is_held_to_its_own_and_tries_again(tmp_path: Path) -> None:
    loose = run_build(_recipe(tmp_path, "all: 0"), tmp_path / "loose")
    assert (loose.accepted, loose.short) == (32, {})
    before = list(BuildReader(tmp_path / "loose").samples())
    middle = sorted(record.scores["image_quality"] for record in before if record.category == WATER)[3]
    built = run_build(_recipe(tmp_path, f"all: 0, storage tank: 1000, water: {middle}"), tmp_path / "out")
    assert sum(count for (name, _), count in built.short.items() if name == "storage tank") == 14
    store = BuildReader(tmp_path / "out")
    ponds = [record for record in store.samples() if record.category == WATER]
    assert min(record.scores["image_quality"] for record in ponds) >= middle
    assert max(record.attempt for record in ponds) > 1  # some conditions failed and others were drawn
    tanks = [reject for reject in store.rejects() if reject.category == TANK]
    assert all("least 1e+03" in reject.reasons[0].text for reject in tanks) and len(tanks) == 14 * 6
    # A class that the file leaves alone is what it was.
    assert [to_line(record) for record in store.samples() if record.category == PLANE] == [
        to_line(record) for record in before if record.category == PLANE
    ]


def test_the_content_is_in_the_fingerprint_and_the_name_is_not(tmp_path: Path) -> None:
    path, out = _recipe(tmp_path, "all: 0"), tmp_path / "out"
    run_build(path, out)
    (tmp_path / "other.yaml").write_text((tmp_path / "learnt.yaml").read_text() + "learnt_from: elsewhere\n")
    run_build(path, out, "rfilter.thresholds=other.yaml")
    _recipe(tmp_path, "all: 0.5")
    with pytest.raises(StoreError, match=r"identity\.thresholds\.image_quality\.all: stored 0\.0, now 0\.5"):
        run_build(path, out)


def test_what_filter_learnt_a_build_uses(tmp_path: Path) -> None:
    config = tmp_path / "filter.yaml"
    config.write_text("rules: [image_quality, object_size]\nper_class: {plane: {image_quality: 3.4}}\nselect: []\n")
    real = make_store(tmp_path / "real")
    run_filter(real, tmp_path / "scored", FilterOptions(config=config, calibrate=real, device="cpu"))
    learnt = tmp_path / "scored/thresholds.yaml"
    recipe = write_recipe(tmp_path, RECIPE.replace("[image_quality]", f"[image_quality], thresholds: {learnt}"))
    run_build(recipe, tmp_path / "out")
    least = BuildReader(tmp_path / "out").run.identity["thresholds"]
    assert least["image_quality"][str(PLANE)] == 3.4 and least["image_quality"]["all"] <= 0.02
    assert list(least) == ["image_quality"]  # the recipe asks no other rule
    assert "6 images of" in learnt.read_text()


def test_a_rule_that_cannot_take_them_says_so(tmp_path: Path) -> None:
    text = LEARNT.replace("[image_quality]", "[{kind: 'tests.recipe.plugins:Threshold'}]")
    (tmp_path / "learnt.yaml").write_text("rules: {'tests.recipe.plugins:Threshold': {least: {all: 1}}}\n")
    with pytest.raises(InputError, match="this rule has no threshold that could be set"):
        load_recipe(write_recipe(tmp_path, text))

    class Plain(Threshold):
        def build(self, *_: object) -> object:  # type: ignore[override]
            return object()

    spec = Plain(kind="plain")
    with pytest.raises(InputError, match="rule 'plain': derive it from MeasuredRule"):
        Judge.of([spec], StageContext(earthsynth(), [], tmp_path, "cpu"), Limits(Thresholds({"plain": {None: 1.0}})))
