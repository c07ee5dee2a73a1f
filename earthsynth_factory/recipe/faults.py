"""What the schema refuses, in plain words: each of pydantic's errors as a path and a sentence with the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from earthsynth_factory.recipe.cross_checks import MeaningError, Path
from earthsynth_factory.recipe.plugin_blocks import BlockError, KindError

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text (in quotes, if it looks like a number)",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a block of keys",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "path_type": "a path",
    "none_required": "nothing",
}
"""Error type → what should have stood there. Several for one value (a union) are joined by "or"."""

_SAYINGS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda limits: f"must be above {limits['gt']:g}",
    "greater_than_equal": lambda limits: f"must be at least {limits['ge']}",
    "less_than": lambda limits: f"must be below {limits['lt']}",
    "less_than_equal": lambda limits: f"must be at most {limits['le']}",
    "multiple_of": lambda limits: f"must be a multiple of {limits['multiple_of']}",
    "finite_number": lambda _: "must be a finite number",
    "too_short": lambda limits: f"needs at least {limits['min_length']} of them, not {limits['actual_length']}",
    "too_long": lambda limits: f"takes at most {limits['max_length']} of them, not {limits['actual_length']}",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda limits: f"is too long; at most {limits['max_length']} characters",
    "string_pattern_mismatch": lambda limits: f"has characters that do not fit here (pattern {limits['pattern']})",
    "invalid_key": lambda _: "a key must be a word",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong at `path`. of_key: the key itself is wrong, or is missing, rather than its value. at: characters of the
    value before what is wrong.
    """

    path: Path
    message: str
    of_key: bool = False
    at: int = 0


def refusals(error: ValidationError, spec: type[BaseModel], data: Any) -> list[Refusal]:
    """Every refusal in `error`, which `spec` raised for `data`; those of nested stage blocks included."""
    found = list(_flatten(error, spec, data, ()))
    # Where a union's value has the right shape for one alternative, that one's inner faults say more than the others' types.
    deep = [(path, kind) for path, _, kind in found]
    kept = [
        (path, refusal)
        for path, refusal, kind in found
        if not (kind in _EXPECTED and any(other[: len(path)] == path and len(other) > len(path) for other, _ in deep))
    ]
    return _joined(kept)


def _flatten(
    error: ValidationError, spec: type[BaseModel], data: Any, start: Path
) -> Iterator[tuple[Path, Refusal, str]]:
    for item in error.errors(include_url=False):
        inner = item.get("ctx", {}).get("error")
        path = _path(item["loc"], data, missing=item["type"] == "missing")
        if isinstance(inner, BlockError):
            yield from _flatten(inner.error, inner.spec, _at(data, path), (*start, *path))
        elif isinstance(inner, MeaningError):
            yield from ((p.path, Refusal(p.path, p.message, at=p.at), "meaning") for p in inner.problems)
        elif isinstance(inner, KindError) and "kind" in _keys(_at(data, path)):
            yield (*start, *path, "kind"), Refusal((*start, *path, "kind"), str(inner)), "kind"
        else:
            refusal = _refusal((*start, *path), item, spec)
            yield refusal.path, refusal, item["type"]


def _refusal(path: Path, item: Any, spec: type[BaseModel]) -> Refusal:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return Refusal(path, f"unknown key; {_known_keys(_block(spec, item['loc'][:-1]), str(path[-1]))}", of_key=True)
    if kind == "missing":
        return Refusal(path, f"is missing{_described(_block(spec, item['loc'][:-1]), path[-1])}", of_key=True)
    if kind in _EXPECTED:
        return Refusal(path, _EXPECTED[kind])
    if kind == "value_error":
        return Refusal(path, str(context["error"]))
    if kind in ("literal_error", "enum"):
        return Refusal(path, _choice(str(context["expected"]), item["input"]))
    of_key = item["loc"][-1:] == ("[key]",)
    if kind in _SAYINGS:
        return Refusal(path, _SAYINGS[kind](context), of_key)
    return Refusal(path, item["msg"].removeprefix("Input should be "), of_key)


def _joined(found: list[tuple[Path, Refusal]]) -> list[Refusal]:
    """One refusal a path and sentence; plain types that a union would have taken are joined into one sentence."""
    types: dict[Path, list[str]] = {}
    for path, refusal in found:
        if refusal.message in _EXPECTED.values():
            types.setdefault(path, []).append(refusal.message)
    said: dict[tuple[Path, str], Refusal] = {}
    for path, refusal in found:
        message = refusal.message
        if path in types and message in types[path]:
            message = f"must be {' or '.join(dict.fromkeys(types[path]))}"
        said.setdefault((path, message), Refusal(path, message, refusal.of_key, refusal.at))
    return list(said.values())


def _path(loc: tuple[int | str, ...], data: Any, missing: bool) -> Path:
    """`loc` less the steps that name a union's branch or a validator, which the data does not have."""
    path: list[str | int] = []
    for step in loc[:-1] if missing else loc:
        if isinstance(data, str):  # a text such as `2..12` that was read as two numbers has no inner places
            break
        try:
            data = data[step]
        except (LookupError, TypeError):
            continue
        path.append(step)
    return (*path, loc[-1]) if missing else tuple(path)


def _keys(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _block(spec: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The block class that `loc` leads to from `spec`, through lists, options and unions."""
    choices: list[type[BaseModel]] = []
    for step in loc:
        named = [choice for choice in choices if choice.__name__ == step]
        if named:
            spec = named[0]
        elif isinstance(step, str) and step in spec.model_fields:
            choices = list(_classes(spec.model_fields[step].annotation))
            spec = choices[0] if len(choices) == 1 else spec
    return spec


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _classes(inner)


def _known_keys(spec: type[BaseModel], key: str) -> str:
    known = [field.alias or name for name, field in spec.model_fields.items()]
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"


def _described(spec: type[BaseModel], key: str | int) -> str:
    field = spec.model_fields.get(str(key))
    sentence = " ".join(((field.description or "") if field else "").split()).partition(". ")[0].rstrip(".")
    return f"; add it ({sentence[:1].lower()}{sentence[1:]})" if sentence else "; add it"


def _choice(expected: str, given: Any) -> str:
    near = difflib.get_close_matches(str(given), re.findall(r"'([^']*)'", expected), n=1)
    return f"must be {expected}" + (f"; did you mean {near[0]!r}?" if near else "")
