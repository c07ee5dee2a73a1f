"""What rules look at: the objects of a condition, and the texts that images and crops are compared with."""

from __future__ import annotations

from collections.abc import Collection

from earthsynth_factory.domain.condition import Condition, InstanceMap
from earthsynth_factory.domain.taxonomy import EARTHSYNTH_TEMPLATE
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.runs import Runs, find_runs

BACKGROUNDS = ("bare land", "water", "grass", "urban land", "forest land", "agriculture land")
"""What else a crop of overhead imagery may show; the first stands for an image without any class."""


def caption(words: str) -> str:
    """EarthSynth's prompt for one class."""
    return EARTHSYNTH_TEMPLATE.format(classes=words)


def object_map(condition: Condition, things: Collection[int]) -> InstanceMap:
    """(H, W) the condition's own instances where it knows them, of whatever class; else connected components of `things`."""
    return condition.instances if condition.known_instances else components(condition.mask, things)


def find_objects(condition: Condition, things: Collection[int]) -> Runs:
    """The objects of `object_map`."""
    return find_runs(object_map(condition, things))
