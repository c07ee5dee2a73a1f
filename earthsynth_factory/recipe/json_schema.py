"""The recipe's JSON Schema, from which editors complete and check while one types."""

from __future__ import annotations

from typing import Any

from earthsynth_factory.recipe import class_list
from earthsynth_factory.recipe.schema import Recipe

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a recipe with every kind of block that ships; descriptions are the field docs."""
    schema = _plain(Recipe.model_json_schema())
    listed = schema["properties"]["categories"]
    told = listed.pop("description")
    schema["properties"]["categories"] = {"description": told, "anyOf": [listed, class_list.SCHEMA]}
    return {"$schema": DIALECT, **schema}


def _plain(schema: Any) -> Any:
    """Without our own mark, which no editor knows."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if not (key == "fingerprint" and value is False)}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema
