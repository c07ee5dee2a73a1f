"""The objects of a condition, as the rules that look at objects count them."""

from __future__ import annotations

from collections.abc import Collection

from earthsynth_factory.domain.condition import Condition, InstanceMap
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.runs import Runs, find_runs


def object_map(condition: Condition, things: Collection[int]) -> InstanceMap:
    """(H, W) the condition's own instances where it knows them, of whatever class; else connected components of `things`."""
    return condition.instances if condition.known_instances else components(condition.mask, things)


def find_objects(condition: Condition, things: Collection[int]) -> Runs:
    """The objects of `object_map`."""
    return find_runs(object_map(condition, things))
