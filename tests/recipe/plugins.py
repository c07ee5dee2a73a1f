"""Tiny specs for recipes under test, named as plug-ins: `tests.recipe.plugins:Source`."""

from __future__ import annotations

from abc import ABC
from typing import Any

from earthsynth_factory.conditions.base import ConditionSource, SourceContext, SourceSpec
from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, Field, Spec
from earthsynth_factory.rfilter.base import Rule, RuleSpec


class Shape(Spec):
    side: int = Field(gt=0)


class Source(SourceSpec):
    kind: str
    path: str = "masks"
    shapes: tuple[Shape, ...] = ()
    either: int | Shape = 1
    cache: bool = Field(default=True, json_schema_extra=NOT_IN_FINGERPRINT)

    def build(self, context: SourceContext) -> ConditionSource:
        raise NotImplementedError


class Kindless(SourceSpec, ABC):
    def build(self, context: SourceContext) -> ConditionSource:
        raise NotImplementedError


class Threshold(RuleSpec):
    kind: str
    least: float = 0.5

    def build(self, *_: Any) -> Rule:
        raise NotImplementedError
