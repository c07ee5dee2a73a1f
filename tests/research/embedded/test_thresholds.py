"""The thresholds that ship: of the weights that ship, for the rules that are asked by default; and how they are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import InputError
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.models.weights import EMBEDDED
from earthsynth_factory.recipe.thresholds import embedded_thresholds
from research.embedded import thresholds

DATA = Path(__file__).parents[2] / "data"


def test_they_are_of_the_weights_that_ship() -> None:
    said = (EMBEDDED / "thresholds.yaml").read_text().splitlines()[0]
    assert thresholds.weights() in said, "CLIP or segmenter changed: run `python -m research.embedded.thresholds` again"


def test_every_default_rule_has_them() -> None:
    rules = FilterSpec().rules
    found = embedded_thresholds(rules, earthsynth())
    assert set(found.least) == {rule.kind for rule in rules}
    assert all(None in classes and len(classes) > 5 for classes in found.least.values())
    own = FilterSpec.model_validate({"rules": [{"kind": "clip_score", "min_margin": -2}, "artefacts"]}).rules
    assert set(embedded_thresholds(own, earthsynth()).least) == {"artefacts"}  # the other has one of its own


def test_they_are_learnt_from_real_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "PER_CLASS", 2)
    path = tmp_path / "thresholds.yaml"
    words = [str(DATA / "kit_ais"), "--out", str(tmp_path / "out"), "--write", str(path)]
    assert thresholds.main(words) == 0
    assert path.read_text().startswith('learnt_from: "2 images of kit_ais, of which at most 30% are refused; weights ')
    with pytest.raises(InputError):
        thresholds.thresholds([tmp_path], tmp_path / "out")
    assert thresholds.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
