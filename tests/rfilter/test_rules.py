"""Rules, expressions, thresholds and selections, on the real samples where a model looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Score
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import InputError
from earthsynth_factory.models.segmenter import Segmenter
from earthsynth_factory.recipe.plugin_blocks import RULE
from earthsynth_factory.rfilter.base import KINDS, MeasuredRule
from earthsynth_factory.rfilter.expression import Expression
from earthsynth_factory.rfilter.selections.base import Gathered, Prints
from earthsynth_factory.rfilter.selections.diverse import farthest_points
from earthsynth_factory.rfilter.selections.duplicates import DuplicatesSpec, perceptual_hash
from earthsynth_factory.rfilter.selections.informative import InformativeSpec
from earthsynth_factory.rfilter.selections.top import TopSpec
from earthsynth_factory.rfilter.thresholds import calibrate, grouped
from tests.making import make_candidate, make_image
from tests.rfilter.planted import area_under_curve, degenerate, right_pairs, swapped

OF_EDITS = ("changed", "kept", "outside")
"""Without a picture that an image began as, they have nothing to say; with one, `test_edit_rules` tries them."""


def _rule(kind: str, **fields: object) -> MeasuredRule:
    block = RULE.parse({"kind": kind, **fields})
    rule = block.build(StageContext(earthsynth(), [4, 6, 8, 17, 21, 25], Path(), "cpu"))  # type: ignore[attr-defined]
    rule.open()
    assert isinstance(rule, MeasuredRule)
    return rule


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_scores_alone_as_in_company_and_decides_from_its_numbers(kind: str) -> None:
    rule = _rule(kind)
    candidates = [make_candidate(index, things=index != 2) for index in range(3)]
    together = rule.score(candidates)
    assert together == [rule.score([candidate])[0] for candidate in candidates]
    numbers = rule.measure(candidates[:1])[0]
    assert rule.decide(numbers, 17) == together[0]
    assert bool(numbers) != (kind in OF_EDITS)
    if kind in OF_EDITS:
        return
    refused = rule.decide(numbers, 17, least=1e9)
    assert not refused.passed and refused.reason and refused.value == together[0].value


@pytest.mark.parametrize(
    ("kind", "fault"), [("image_quality", "blurred"), ("artefacts", "tiled"), ("artefacts", "noise")]
)
def test_planted_degenerate_images_are_told_from_real_ones(kind: str, fault: str, tmp_path: Path) -> None:
    pairs, rule = right_pairs(tmp_path), _rule(kind)
    assert len(pairs) >= 8
    right, wrong = (np.array([score.value for score in rule.score(made)]) for made in (pairs, degenerate(pairs)[fault]))
    assert area_under_curve(right, wrong) >= 0.95


def test_the_embedded_segmenter_tells_swapped_masks_from_right_ones(tmp_path: Path) -> None:
    pairs = right_pairs(tmp_path)
    rule = _rule("layout_agreement", segmenter="embedded")
    right, wrong = ([score.value for score in rule.score(of)] for of in (pairs, swapped(pairs)))
    assert area_under_curve(np.array(right), np.array(wrong)) > 0.95


def test_the_segmenter_looks_at_images_of_one_shape_together_and_judges_each_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = _rule("layout_agreement", segmenter="embedded")
    mixed = [make_candidate(index, things=index != 2, size=(48, 64)[index % 2]) for index in range(5)]
    strange = mixed[0].condition.mask.copy()
    strange[strange > 0] = 99
    mixed.append(replace(mixed[0], condition=replace(mixed[0].condition, mask=strange)))
    alone = [rule.measure([candidate])[0] for candidate in mixed]
    seen, predict = [], Segmenter.predict
    monkeypatch.setattr(
        Segmenter, "predict", lambda self, images: (seen.append(images.shape), predict(self, images))[1]
    )
    assert rule.measure(mixed) == alone
    assert [shape[:2] for shape in seen] == [(3, 48), (2, 64)]
    assert alone[-1] == {} and all(0 <= numbers["agreement"] <= 1 for numbers in alone[:-1])


def test_an_expression_knows_what_is_still_open() -> None:
    keep = Expression("quality and (clip or layout.iou >= 0.4) and not odd", ["quality", "clip", "layout", "odd"])
    good, bad = Score(1.0, True), Score(0.0, False)
    assert keep({"quality": bad}, {}) is False
    assert keep({"quality": good, "clip": bad}, {}) is None
    scores = {"quality": good, "clip": bad, "layout": bad, "odd": bad}
    assert keep(scores, {"layout": {"iou": 0.5}}) is True
    assert keep(scores, {"layout": {"iou": 0.3}}) is False


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("quality or sharp", "no rule is called 'sharp'; there are quality"),
        ("__import__('os')", "is not understood"),
        ("quality >= 'a'", "is no number"),
        ("quality and", "is no expression"),
    ],
)
def test_what_is_no_expression_is_named(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=r"^keep: ") as caught:
        Expression(text, ["quality"])
    assert complaint in str(caught.value)


def test_calibrated_rules_share_the_false_rejects() -> None:
    rng = np.random.default_rng(0)
    rows = [(17 if n % 4 else 25, {"a": rng.normal(), "b": rng.normal()}) for n in range(400)]
    found = calibrate(grouped(rows), 0.1 / 2, 200)
    refused = [any(value < found.of(rule, category) for rule, value in values.items()) for category, values in rows]
    assert np.mean(refused) <= 0.1
    assert found.of("a", 25) == found.of("a", None) != found.of("a", 17)


def _gathered(vectors: np.ndarray, values: list[float]) -> Gathered:
    images = [make_image(seed) for seed in (1, 1, 2, 3)]
    prints = Prints(
        ["a", "b", "c", "d"],
        [str(image.sum()) for image in images],
        np.array([perceptual_hash(image) for image in images], np.uint64),
        vectors.astype(np.float32),
    )
    return Gathered(prints, [17, 17, 17, 25], {"clip_score": np.array(values)}, real=None)


EYE = np.eye(4)[[0, 0, 1, 2]]


def test_selections_name_what_goes_and_why() -> None:
    gathered, everyone = _gathered(EYE, [0.1, 0.2, 0.3, 0.4]), np.ones(4, bool)
    assert DuplicatesSpec(kind="duplicates").select(gathered, everyone) == {1: "the same as a"}
    assert TopSpec(kind="top", count=2).select(gathered, everyone) == {
        0: "number 3 of its class by clip_score, kept are 2"
    }
    band = InformativeSpec(kind="informative", band=(0.2, 0.8), least_images=3).select(gathered, everyone)
    assert {place: why.split(" ")[0] for place, why in band.items()} == {0: "hopeless", 2: "trivial"}
    with pytest.raises(InputError, match="top: by 'no', but no such rule"):
        TopSpec(kind="top", count=1, by="no").select(gathered, everyone)


def test_copies_of_real_images_are_found() -> None:
    gathered = _gathered(EYE, [0.0] * 4)
    with_real = Gathered(gathered.prints, gathered.categories, gathered.values, gathered.prints)
    gone = DuplicatesSpec(kind="duplicates").select(with_real, np.array([False, False, False, True]))
    assert gone == {3: "a copy of the real image d"}


def test_farthest_points_cover() -> None:
    assert sorted(farthest_points(EYE.astype(np.float32), 3)) in ([0, 2, 3], [1, 2, 3])
