"""A condition checks itself at birth."""

from __future__ import annotations

import numpy as np
import pytest

from earthsynth_factory.domain.condition import Condition, Origin

ORIGIN = Origin("test", "one")


def _condition(mask: np.ndarray, instances: np.ndarray) -> Condition:
    return Condition(mask, instances, "a prompt", 0.5, 1, ORIGIN)


def test_classes_and_instances_are_read_from_the_pixels() -> None:
    mask = np.array([[0, 17, 17], [6, 6, 25]], np.uint8)
    instances = np.array([[0, 2, 2], [0, 0, 7]], np.uint16)
    condition = _condition(mask, instances)
    assert condition.classes() == [6, 17, 25]
    assert condition.instance_classes() == {2: 17, 7: 25}


@pytest.mark.parametrize(
    ("mask", "instances", "text"),
    [
        (np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint16), r"mask must be \(H, W\) uint8"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint16), r"instances must be \(2, 2\) uint16"),
        (np.array([[4, 6]], np.uint8), np.array([[1, 1]], np.uint16), "covers more than one class"),
        (np.array([[0, 6]], np.uint8), np.array([[1, 0]], np.uint16), "lies on background"),
    ],
)
def test_what_is_no_condition_is_refused(mask: np.ndarray, instances: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _condition(mask, instances)
