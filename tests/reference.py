"""`python -m tests.reference` writes the tables of keys in recipes/README.md from the types that read recipes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.recipe.schema import json_schema
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe
from research import markdown

FILE = Path(__file__).parents[1] / "recipes" / "README.md"
NAME = "keys"


def reference() -> str:
    """Every key of the three kinds of file, a table for each block."""
    parts = [
        ("A recipe of `build`", json_schema()),
        ("A recipe of `train`", ControlNetRecipe.model_json_schema()),
        ("The settings of `filter` (`--config filter.yaml`)", FilterSpec.model_json_schema()),
    ]
    told: dict[str, None] = {}
    for title, schema in parts:
        told[f"## {title}"] = None
        told |= dict.fromkeys(_tables(schema))  # a block that several files take is told where it comes first
    return "\n\n".join(told)


def _tables(schema: dict[str, Any]) -> Iterator[str]:
    for title, block in [("The file", schema), *_blocks(schema, schema["properties"])]:
        if set(block["properties"]) - {"kind"}:
            yield _table(title, block, schema)


def _blocks(schema: dict[str, Any], properties: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Blocks below these keys, each behind the one that it stands in."""
    for key, value in properties.items():
        for kind in _objects(schema, value):
            own = kind["properties"].get("kind", {}).get("const")
            yield (f"`{key}`: `kind: {own}`" if own else f"`{key}`"), kind
            yield from _blocks(schema, kind["properties"])


def _objects(schema: dict[str, Any], value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in value:
        value = schema["$defs"][value["$ref"].rsplit("/", 1)[1]]
    if "properties" in value:
        yield value
    for one in (*value.get("anyOf", ()), *value.get("oneOf", ()), *([value["items"]] if "items" in value else ())):
        yield from _objects(schema, one)


def _table(title: str, block: dict[str, Any], schema: dict[str, Any]) -> str:
    required = set(block.get("required", ()))
    rows = [
        (f"`{key}`", _type(schema, value), "required" if key in required else _default(value), _words(value))
        for key, value in block["properties"].items()
        if key != "kind" or "const" not in value
    ]
    words = " ".join((block.get("description") or "").split("\n\n")[0].split())
    return f"### {title}\n\n{words}\n\n" + markdown.table(("key", "what it takes", "default", ""), rows)


def _type(schema: dict[str, Any], value: dict[str, Any]) -> str:
    if "$ref" in value:
        value = schema["$defs"][value["$ref"].rsplit("/", 1)[1]]
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    several = value.get("anyOf") or value.get("oneOf")
    if several:
        found = dict.fromkeys(_type(schema, one) for one in several if one.get("type") != "null")
        return "a block with `kind`, or a kind's name" if "a block" in found and len(found) > 1 else " or ".join(found)
    if value.get("type") == "array":
        return f"a list: {_type(schema, value['items'])}" if "items" in value else "a list"
    named = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
    return named.get(str(value.get("type")), "a block")


def _default(value: dict[str, Any]) -> str:
    if "default" not in value or value["default"] is None:
        return ""
    text = json.dumps(value["default"], ensure_ascii=False)
    return f"`{text}`" if len(text) < 60 else "see its block"


def _words(value: dict[str, Any]) -> str:
    return " ".join(str(value.get("description", "")).split()).replace("|", "\\|")


if __name__ == "__main__":
    markdown.fill(FILE, reference(), NAME)
