"""Pixels alone: flat, saturated and blurred images; and how rules make a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.outcome import Reason
from earthsynth_factory.domain.sample import Candidate, Score
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.rfilter.base import Rule
from earthsynth_factory.rfilter.image_quality import ImageQualitySpec
from earthsynth_factory.rfilter.judge import AskedRule, Judge
from tests.making import make_candidate, make_image

SHAPE = (48, 48, 3)


def _quality(image: np.ndarray) -> Score:
    rule = ImageQualitySpec(kind="image_quality").build(StageContext(earthsynth(), [17], Path(), "cpu"))
    rule.open()
    return rule.score([replace(make_candidate(), image=image)])[0]


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (np.full(SHAPE, 90, np.uint8), "flat"),
        (np.where(np.arange(48)[:, None, None] % 2, 255, 0).astype(np.uint8).repeat(48, 1).repeat(3, 2), "saturated"),
        (cv2.GaussianBlur(cv2.resize(make_image(1, 4), (48, 48), interpolation=cv2.INTER_CUBIC), (0, 0), 4), "blurred"),
    ],
)
def test_a_degenerate_image_is_refused_with_its_fault(image: np.ndarray, word: str) -> None:
    score = _quality(image)
    assert not score.passed
    assert word in score.reason


def test_a_textured_image_passes_without_a_reason() -> None:
    assert _quality(make_image(3)) == Score(_quality(make_image(3)).value, True, "")


class _Fixed(Rule):
    """Passes the slots it is told to, and notes what it was shown."""

    def __init__(self, passing: set[int], value: float) -> None:
        self.passing, self.value = passing, value
        self.shown: list[int] = []

    def open(self) -> None:
        """Nothing to load."""

    def score(self, candidates: Sequence[Candidate]) -> list[Score]:
        self.shown += [candidate.slot.index for candidate in candidates]
        return [Score(self.value, found.slot.index in self.passing, "why not") for found in candidates]


def _asked(name: str, rule: Rule, rank: float) -> AskedRule[Rule]:
    return AskedRule(name, ImageQualitySpec(kind="image_quality", rank=rank), rule)


def test_what_one_rule_rejects_the_next_is_not_shown() -> None:
    first, second = _Fixed({0, 2}, 0.5), _Fixed({0}, 3.0)
    verdicts = Judge([_asked("a", first, 2.0), _asked("b", second, 1.0)]).judge([make_candidate(n) for n in range(3)])
    assert second.shown == [0, 2]
    assert [verdict.kept for verdict in verdicts] == [True, False, False]
    assert [verdict.rank for verdict in verdicts] == [4.0, 1.0, 4.0]
    assert verdicts[1].reasons == [Reason("a", "why not")]
    assert verdicts[2].reasons == [Reason("b", "why not")]


def test_a_verdict_does_not_depend_on_batch_mates() -> None:
    judge = Judge.of([ImageQualitySpec(kind="image_quality", rank=1)], StageContext(earthsynth(), [17], Path(), "cpu"))
    candidates = [make_candidate(index) for index in range(4)]
    together = judge.judge(candidates)
    assert together == [judge.judge([candidate])[0] for candidate in candidates]
