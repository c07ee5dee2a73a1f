"""Blocks of the recipe that other packages define: a source, a generator, a rule, an export.

One door for all four: the block's `kind` names its class (`domain.plugins`), the class is imported only when a recipe
asks for it, and the block is validated by that class alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler, SerializeAsAny, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from earthsynth_factory.conditions import base as conditions
from earthsynth_factory.domain.plugins import spec_class
from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.errors import InputError
from earthsynth_factory.exports import base as exports
from earthsynth_factory.rfilter import base as rfilter
from earthsynth_factory.synthesis import base as synthesis


class BlockError(ValueError):
    """A stage's block was refused. `spec` and `error` say by which class and why; keys count from the block."""

    def __init__(self, spec: type[Spec], error: ValidationError) -> None:
        super().__init__(f"{spec.__name__}: {error.error_count()} faults")
        self.spec = spec
        self.error = error


class KindError(ValueError):
    """A block's `kind` is missing or leads to no class of the stage."""


@dataclass(frozen=True)
class BlockParser:
    """How the blocks of one stage are read.

    kinds: what ships, kind → `module:Class`. base: what every class must derive from. by_model: the kind of a block that
    has a `model` and no `kind`; None if a stage knows no such habit.
    """

    name: str
    base: type[Spec]
    kinds: Mapping[str, str]
    by_model: str | None = None

    def parse(self, value: Any) -> Spec:
        """The block as an instance of its own class; a bare word stands for `{kind: word}`.

        Raises BlockError with the class's own complaints, KindError if no class is found.
        """
        if isinstance(value, self.base):
            return value
        block = {"kind": value} if isinstance(value, str) else value
        if not isinstance(block, Mapping):
            raise ValueError(f"expected a block with `kind:`; known kinds: {', '.join(self.kinds)}")
        found = self.find(self._kind(block))
        try:
            return found.model_validate({"kind": self._kind(block), **block})
        except ValidationError as error:
            raise BlockError(found, error) from error
        except InputError as error:
            raise ValueError(str(error)) from error

    def _kind(self, block: Mapping[str, Any]) -> str:
        kind = block.get("kind", self.by_model if "model" in block else None)
        if not isinstance(kind, str):
            raise KindError(f"expected `kind:` with a word; known kinds: {', '.join(self.kinds)}")
        return kind

    def find(self, kind: str) -> type[Spec]:
        """The class for a kind. Raises KindError that says what is known, or what is wrong with a plug-in."""
        try:
            found = spec_class(kind, self.kinds, self.name)
        except ValueError as error:
            raise KindError(str(error)) from error
        except Exception as error:  # a plug-in's module runs foreign code: whatever it raises is the recipe's fault
            raise KindError(f"{self.name} kind {kind!r} cannot be imported: {error!r}") from error
        if not issubclass(found, self.base):
            raise KindError(f"{self.name} kind {kind!r} must derive from {self.base.__module__}.{self.base.__name__}")
        if "kind" not in found.model_fields:
            raise KindError(f"{self.name} kind {kind!r} has no field `kind`; add `kind: str` to the class")
        return found

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Any block that ships, by a bare word or in full, or a plug-in's."""
        shipped = [handler(self.find(kind).__pydantic_core_schema__) for kind in self.kinds]
        plugin = {
            "type": "object",
            "description": f"A plug-in for this stage ({self.name}); its own class validates it.",
            "properties": {"kind": {"type": "string", "pattern": r"^[\w.]+:\w+$"}},
            "required": ["kind"],
        }
        return {"anyOf": [*shipped, {"enum": list(self.kinds)}, plugin]}


SOURCE = BlockParser("condition source", conditions.SourceSpec, conditions.KINDS)
GENERATOR = BlockParser("generator", synthesis.GeneratorSpec, synthesis.KINDS, by_model="controlnet")
RULE = BlockParser("rule", rfilter.RuleSpec, rfilter.KINDS)
EXPORT = BlockParser("export", exports.ExportSpec, exports.KINDS)

SourceBlock = Annotated[SerializeAsAny[conditions.SourceSpec], BeforeValidator(SOURCE.parse), SOURCE]
GeneratorBlock = Annotated[SerializeAsAny[synthesis.GeneratorSpec], BeforeValidator(GENERATOR.parse), GENERATOR]
RuleBlock = Annotated[SerializeAsAny[rfilter.RuleSpec], BeforeValidator(RULE.parse), RULE]
ExportBlock = Annotated[SerializeAsAny[exports.ExportSpec], BeforeValidator(EXPORT.parse), EXPORT]
