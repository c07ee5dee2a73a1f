"""A YAML file of ours as text, as data with places, and as a validated block: what recipes and their like share."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import ValidationError

from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.io.bounded import open_regular
from earthsynth_factory.recipe import cross_checks, overrides
from earthsynth_factory.recipe.cross_checks import Path
from earthsynth_factory.recipe.document import Document, read_document, shown
from earthsynth_factory.recipe.faults import Refusal, refusals

MAX_BYTES = 4 << 20
"""Largest recipe file."""

Block = TypeVar("Block", bound=Spec)

STARTER = "`earthsynth-factory recipe init` writes a starter"


def changed(text: str, name: str, changes: Sequence[str]) -> Document:
    """The text as data, with the changes applied. Raises RecipeError if it is no block of keys."""
    document = read_document(text, name)
    if not document.faults and document.data is None and not changes:
        raise RecipeError([f"{name}:1:1 → the file is empty; {STARTER}"])
    if document.data is not None and not isinstance(document.data, dict):
        raise RecipeError([f"{name}:1:1 → a recipe is a block of keys (name:, categories:, …); {STARTER}"])
    overrides.apply(document, changes)
    return document


def validated(document: Document, spec: type[Block]) -> Block:
    """The document as `spec`. Raises RecipeError with the document's faults and those of its values."""
    data: Any = {} if document.data is None and not document.faults else document.data
    try:
        block = spec.model_validate(data)
    except ValidationError as error:
        _note_refusals(document, error, spec)
    else:
        if not document.faults:
            return block
    raise refused(document)


def refused(document: Document) -> RecipeError:
    """The document's faults as an error, in the order of the file."""
    return RecipeError(ordered(document))


def ordered(document: Document) -> list[str]:
    """The document's faults as lines, each once, in the order of the file."""
    faults = sorted(document.faults, key=lambda fault: (fault.place.startswith("--set"), fault.order))
    return list(dict.fromkeys(map(str, faults)))


def _note_refusals(document: Document, error: ValidationError, spec: type[Spec]) -> None:
    if document.data is None and document.faults:
        return  # the text could not be read at all, so what is missing says nothing
    data: Any = document.data or {}
    found = refusals(error, spec, data)
    found += [Refusal(problem.path, problem.message) for problem in cross_checks.problems(data)]
    for refusal in dict.fromkeys(found):
        if refusal.path not in document.unread:
            value = "" if refusal.of_key else _shown_at(data, refusal.path)
            document.fault(refusal.path, refusal.message, value, refusal.of_key, refusal.at)


def _shown_at(data: Any, path: Path) -> str:
    """The value at `path` as a fault shows it; nothing for the recipe as a whole and for what is not there."""
    for step in path:
        try:
            data = data[step]
        except (LookupError, TypeError):
            return ""
    return shown(data) if path else ""


def read_recipe_text(path: FilePath) -> str:
    """The file's text. Raises RecipeError if it is none."""
    try:
        with open_regular(path) as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError([f"{path} → no such file; {_nearest(path)}"]) from None
    except IsADirectoryError:
        raise RecipeError([f"{path} → is a folder; name a recipe file in it{_listed(path)}"]) from None
    except (OSError, ValueError) as error:
        raise RecipeError([f"{path} → cannot be read: {getattr(error, 'strerror', None) or error}"]) from error
    if len(raw) > MAX_BYTES:
        raise RecipeError([f"{path} → larger than {MAX_BYTES >> 20} MiB; is it a recipe?"])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RecipeError([f"{path}:{line} → is not UTF-8; save the file as UTF-8"]) from error


def _nearest(path: FilePath) -> str:
    near = difflib.get_close_matches(path.name, _recipes(path.parent), n=1)
    return f"did you mean {str(path.with_name(near[0]))!r}?" if near else STARTER


def _listed(folder: FilePath) -> str:
    names = _recipes(folder)
    return f": {', '.join(names[:8])}" if names else ""


def _recipes(folder: FilePath) -> list[str]:
    try:
        return sorted(item.name for item in folder.iterdir() if item.suffix in (".yaml", ".yml"))
    except OSError:
        return []
