"""From a file to a `Recipe`, or to a `RecipeError` that names every fault with its place and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import ValidationError, model_validator

from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.exports.base import ExportSpec
from earthsynth_factory.recipe import meaning, overrides
from earthsynth_factory.recipe.document import Document, read_document, shown
from earthsynth_factory.recipe.faults import Refusal, refusals
from earthsynth_factory.recipe.meaning import Path
from earthsynth_factory.recipe.schema import Recipe
from earthsynth_factory.recipe.stages import ExportBlock

MAX_BYTES = 4 << 20
"""Largest recipe file."""

Block = TypeVar("Block", bound=Spec)

STARTER = "`earthsynth-factory recipe init` writes a starter"


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe with the file it came from. `text` is the file as it was read, without any `--set`."""

    recipe: Recipe
    path: FilePath
    text: str

    @property
    def base(self) -> FilePath:
        """The folder that the recipe's relative paths start from."""
        return self.path.resolve().parent


def load_recipe(path: FilePath, changes: Sequence[str] = ()) -> LoadedRecipe:
    """The recipe in a file, with `--set` changes applied. Raises RecipeError with all faults."""
    text = _read(path)
    return LoadedRecipe(parse_recipe(text, str(path), changes), path, text)


def parse_recipe(text: str, name: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a text. `name` stands for the file in messages. Raises RecipeError with all faults."""
    return _validated(_changed(text, name, changes), Recipe)


def load_block(path: FilePath, choose: Callable[[Any], type[Block]], changes: Sequence[str] = ()) -> Block:
    """A recipe file of another kind, such as a training's. choose: the class for the file's data.

    Raises RecipeError with all faults.
    """
    document = _changed(_read(path), str(path), changes)
    return _validated(document, choose(document.data or {}))


def _changed(text: str, name: str, changes: Sequence[str]) -> Document:
    """The text as data, with the changes applied. Raises RecipeError where it is no block of keys."""
    document = read_document(text, name)
    if not document.faults and document.data is None and not changes:
        raise RecipeError([f"{name}:1:1 → the file is empty; {STARTER}"])
    if document.data is not None and not isinstance(document.data, dict):
        raise RecipeError([f"{name}:1:1 → a recipe is a block of keys (name:, categories:, …); {STARTER}"])
    overrides.apply(document, changes)
    return document


def export_blocks(formats: Sequence[str], changes: Sequence[str] = ()) -> tuple[ExportSpec, ...]:
    """Export blocks for `formats`, with changes such as `coco.polygons=true`. Raises RecipeError with all faults."""
    document = Document("--format", {"exports": [{"kind": kind.strip()} for kind in formats]})
    overrides.apply(document, changes, within="exports.")
    return _validated(document, _Exports).exports


class _Exports(Spec):
    exports: tuple[ExportBlock, ...]

    @model_validator(mode="after")
    def _make_sense(self) -> _Exports:
        found = meaning.problems(self.model_dump())
        if found:
            raise meaning.MeaningError(found)
        return self


def _validated(document: Document, spec: type[Block]) -> Block:
    """The document as `spec`. Raises RecipeError with the document's faults and those of its values."""
    data: Any = {} if document.data is None and not document.faults else document.data
    try:
        block = spec.model_validate(data)
    except ValidationError as error:
        _note_refusals(document, error, spec)
    else:
        if not document.faults:
            return block
    ordered = sorted(document.faults, key=lambda fault: (fault.place.startswith("--set"), fault.order))
    raise RecipeError(list(dict.fromkeys(str(fault) for fault in ordered)))


def _note_refusals(document: Document, error: ValidationError, spec: type[Spec]) -> None:
    if document.data is None and document.faults:
        return  # the text could not be read at all, so what is missing says nothing
    data: Any = document.data or {}
    found = refusals(error, spec, data)
    found += [Refusal(problem.path, problem.message) for problem in meaning.problems(data)]
    for refusal in dict.fromkeys(found):
        if refusal.path not in document.unread:
            value = "" if refusal.of_key else _shown_at(data, refusal.path)
            document.fault(refusal.path, refusal.message, value, refusal.of_key)


def _shown_at(data: Any, path: Path) -> str:
    """The value at `path` as a fault shows it; nothing for the recipe as a whole and for what is not there."""
    for step in path:
        try:
            data = data[step]
        except (LookupError, TypeError):
            return ""
    return shown(data) if path else ""


def _read(path: FilePath) -> str:
    """The file's text. Raises RecipeError where it is none."""
    try:
        with path.open("rb") as file:
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
