"""What rules look at: the objects of a condition, and the texts that images and crops are compared with."""

from __future__ import annotations

from collections.abc import Collection

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.taxonomy import EARTHSYNTH_TEMPLATE
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.runs import Runs, find_runs

BACKGROUNDS = ("bare land", "water", "grass", "urban land", "forest land", "agriculture land")
"""What else a crop of overhead imagery may show; the first stands for an image without any class."""


def caption(words: str) -> str:
    """EarthSynth's prompt for one class."""
    return EARTHSYNTH_TEMPLATE.format(classes=words)


def find_objects(condition: Condition, things: Collection[int]) -> Runs:
    """The condition's own instances where it knows them, of whatever class; else connected components of `things`."""
    return find_runs(condition.instances if condition.known_instances else components(condition.mask, things))
