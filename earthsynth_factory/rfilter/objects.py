"""The objects of a condition, as the rules that look at objects count them."""

from __future__ import annotations

from collections.abc import Collection

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.geometry.components import components
from earthsynth_factory.geometry.runs import Runs, find_runs


def find_objects(condition: Condition, things: Collection[int]) -> Runs:
    """The condition's own instances where it knows them, of whatever class; else connected components of `things`."""
    return find_runs(condition.instances if condition.known_instances else components(condition.mask, things))
