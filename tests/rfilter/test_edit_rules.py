"""The rules of images that began as pictures: planted copies, lost objects and objects that nobody asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.rfilter.changed import ChangedSpec
from earthsynth_factory.rfilter.kept import Kept, KeptSpec, touched_objects
from earthsynth_factory.rfilter.outside import Outside, OutsideSpec
from tests.making import make_candidate
from tests.rfilter.planted import right_pairs

CONTEXT = StageContext(earthsynth(), (21,), Path(), "cpu")
CAR = 21


@pytest.fixture(scope="module")
def vehicles(tmp_path_factory: pytest.TempPathFactory) -> list[Candidate]:
    """Real windows with vehicles, each as an edit that changed nothing yet."""
    pairs = [pair for pair in right_pairs(tmp_path_factory.mktemp("right")) if pair.slot.category == CAR]
    assert len(pairs) >= 6
    return [_began_as(pair, pair.image) for pair in pairs]


def _began_as(pair: Candidate, picture: np.ndarray) -> Candidate:
    changed = np.zeros(picture.shape[:2], bool)
    return replace(pair, condition=replace(pair.condition, picture=picture, changed=changed))


def _without_objects(pair: Candidate) -> np.ndarray:
    """The image with its objects painted over by what is around them."""
    inside = cv2.dilate((pair.condition.instances > 0).astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.asarray(cv2.inpaint(pair.image, inside, 5, cv2.INPAINT_TELEA), np.uint8)


def test_a_copy_is_told_from_an_edit() -> None:
    rule = ChangedSpec(kind="changed").build(CONTEXT)
    bare = make_candidate()
    copied = _began_as(bare, bare.image)
    edited = _began_as(bare, np.where(bare.condition.mask[..., None] == 17, 0, bare.image).astype(np.uint8))
    nudged = _began_as(bare, np.clip(bare.image.astype(int) + 3, 0, 255).astype(np.uint8))
    pasted = replace(copied, condition=replace(copied.condition, changed=copied.condition.mask == 17))
    none, same, new, slight, put_in = rule.score([bare, copied, edited, nudged, pasted])
    assert none.passed and none.value == 1.0  # made from nothing: the rule does not apply
    assert not same.passed and same.value == 0 and "copy of its picture" in same.reason
    assert new.passed and put_in.passed and not slight.passed
    assert put_in.value == pytest.approx((copied.condition.mask == 17).mean())


def test_lost_objects_are_found(vehicles: list[Candidate]) -> None:
    """Objects painted over are missed, objects in another light are not; what nothing touched is not judged."""
    rule = KeptSpec(kind="kept").build(CONTEXT)
    rule.open()
    gone = rule.score([replace(pair, image=_without_objects(pair)) for pair in vehicles])
    light = [np.clip(pair.image * 0.9 + 12, 0, 255).astype(np.uint8) for pair in vehicles]
    kept = rule.score([replace(pair, image=image) for pair, image in zip(vehicles, light, strict=True)])
    judged = [place for place, score in enumerate(gone) if score.value < 1 or not score.passed]
    assert len(judged) >= len(vehicles) / 2
    assert np.mean([score.passed for score in gone]) <= 0.4
    assert np.mean([score.passed for score in kept]) >= 0.9
    assert any("can still be seen after the edit" in score.reason for score in gone)
    assert all(score.passed and score.value == 1 for score in rule.score(vehicles))


def test_only_touched_objects_are_judged(vehicles: list[Candidate]) -> None:
    pair = next(pair for pair in vehicles if len(np.unique(pair.condition.instances)) > 2)
    first = int(np.unique(pair.condition.instances)[1])
    image = pair.image.copy()
    image[pair.condition.instances == first] = 0
    touched = touched_objects(replace(pair, image=image), [0, CAR])
    assert set(np.unique(touched)) == {0, first}
    assert not touched_objects(replace(pair, image=image), [0, 6]).any()  # a segmenter that knows no vehicles


def test_what_nobody_asked_for_is_found(vehicles: list[Candidate]) -> None:
    """The picture without its vehicles, the image with them, the mask says there are none: all of them are new."""
    rule = OutsideSpec(kind="outside").build(CONTEXT)
    rule.open()
    empty = [np.zeros_like(pair.condition.mask) for pair in vehicles]
    nothing = [
        replace(
            pair,
            condition=replace(
                pair.condition,
                mask=mask,
                instances=mask.astype(np.uint16),
                picture=_without_objects(pair),
                changed=mask > 0,
            ),
        )
        for pair, mask in zip(vehicles, empty, strict=True)
    ]
    found = rule.score(nothing)
    assert np.mean([score.passed for score in found]) <= 0.45
    assert any("where none was asked for" in score.reason for score in found)
    asked = [_began_as(pair, _without_objects(pair)) for pair in vehicles]
    assert np.mean([score.passed for score in rule.score(asked)]) >= 0.8
    assert all(score.passed for score in rule.score(vehicles))  # nothing changed: does not apply


def test_rules_do_not_depend_on_batch_mates(vehicles: list[Candidate]) -> None:
    edited = [replace(pair, image=_without_objects(pair)) for pair in vehicles[:3]]
    for rule in (KeptSpec(kind="kept").build(CONTEXT), OutsideSpec(kind="outside").build(CONTEXT)):
        assert isinstance(rule, Kept | Outside)
        rule.open()
        together = rule.measure(edited)
        for one, known in zip(edited, together, strict=True):
            [alone] = rule.measure([one])
            assert alone == pytest.approx(known, abs=1e-6)


def test_images_made_from_nothing_are_left_alone() -> None:
    made = make_candidate()
    for rule in (KeptSpec(kind="kept").build(CONTEXT), OutsideSpec(kind="outside").build(CONTEXT)):
        rule.open()
        [score] = rule.score([made])
        assert score.passed and score.value == 1.0
