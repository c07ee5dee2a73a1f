"""What decides a dataset's pixels and labels, as one number, and in words if two of them differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from earthsynth_factory.recipe.document import shown
from earthsynth_factory.recipe.schema import Recipe

_ABSENT = object()


def fingerprint(recipe: Recipe, identity: Mapping[str, Any]) -> str:
    """SHA-256, as hex, over what decides pixels and labels.

    identity: what decides them beside the recipe (contents of mask sources, hashes of weights), as plain JSON.
    """
    canonical = json.dumps(
        {"recipe": decisive(recipe), "identity": identity}, sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def decisive(block: BaseModel) -> dict[str, Any]:
    """A block as plain JSON, without the fields that are marked `NOT_IN_FINGERPRINT`, at any depth.

    A field that is None is left out too: an optional key that a later version adds leaves old fingerprints as they are.
    """
    dumped = block.model_dump(mode="json")
    kept = {name: field for name, field in type(block).model_fields.items() if not _is_marked(field.json_schema_extra)}
    return {name: _decisive_value(getattr(block, name), dumped[name]) for name in kept if dumped[name] is not None}


def _is_marked(extra: Any) -> bool:
    return isinstance(extra, Mapping) and extra.get("fingerprint") is False


def _decisive_value(value: Any, dumped: Any) -> Any:
    if isinstance(value, BaseModel):
        return decisive(value)
    if isinstance(value, list | tuple):
        return [_decisive_value(item, plain) for item, plain in zip(value, dumped, strict=True)]
    if isinstance(value, Mapping):
        return {key: _decisive_value(item, dumped[str(key)]) for key, item in value.items()}
    return dumped


def settings_difference(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """A line for each value that differs, `key.path: stored … , now …`.

    Both hold a recipe's plain JSON under `recipe`, and what else decides under `identity`. Keys of the recipe that decide
    nothing are left out.
    """
    return list(_differences(_comparable(stored), _comparable(given), ""))


def _comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    recipe = record.get("recipe")
    try:
        return {**record, "recipe": decisive(Recipe.model_validate(recipe))}
    except ValidationError:  # written by another version; compared as it stands
        return dict(record)


def _differences(stored: Any, given: Any, path: str) -> Iterator[str]:
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        for key in sorted({*stored, *given}, key=str):
            yield from _differences(
                stored.get(key, _ABSENT), given.get(key, _ABSENT), f"{path}.{key}" if path else str(key)
            )
    elif isinstance(stored, list) and isinstance(given, list):
        for index in range(max(len(stored), len(given))):
            was, now = (items[index] if index < len(items) else _ABSENT for items in (stored, given))
            yield from _differences(was, now, f"{path}.{index}")
    elif stored != given:
        yield f"{path}: stored {_word(stored)}, now {_word(given)}"


def _word(value: Any) -> str:
    return "nothing" if value is _ABSENT else shown(value)
