"""From a file to a `Recipe`, or to a `RecipeError` that names every fault with its place and remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import model_validator

from earthsynth_factory.domain.plugins import plugins_allowed
from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.errors import RecipeError
from earthsynth_factory.exports.base import ExportSpec
from earthsynth_factory.recipe import class_list, cross_checks, overrides
from earthsynth_factory.recipe.document import Document
from earthsynth_factory.recipe.plugin_blocks import ExportBlock
from earthsynth_factory.recipe.reading import Block, changed, read_recipe_text, refused, validated
from earthsynth_factory.recipe.schema import Recipe
from earthsynth_factory.recipe.thresholds import check_thresholds


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe with the file it came from. `text` is the file as it was read, without any `--set`.

    document: where everything stands, with the changes; what is found out later about a value is said by it.
    """

    recipe: Recipe
    path: FilePath
    text: str
    document: Document = field(compare=False, repr=False)

    @property
    def base(self) -> FilePath:
        """The folder that the recipe's relative paths start from."""
        return self.path.resolve().parent


def load_recipe(path: FilePath, changes: Sequence[str] = (), plugins: bool = False) -> LoadedRecipe:
    """The recipe in a file, with `--set` changes applied. Raises RecipeError with all faults, those of its thresholds too.

    plugins: whether those that it names may be imported.
    """
    text = read_recipe_text(path)
    document = changed(text, str(path), changes)
    if is_training(document.data):
        raise RecipeError([f"{path} → is a recipe of a training: earthsynth-factory train {path}"])
    class_list.write_out(document, path.resolve().parent)
    with plugins_allowed(plugins):
        loaded = LoadedRecipe(validated(document, Recipe), path, text, document)
    check_thresholds(document, loaded.recipe, loaded.base)
    if document.faults:
        raise refused(document)
    return loaded


def parse_recipe(text: str, name: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a text. `name` stands for the file in messages. Raises RecipeError with all faults."""
    return validated(changed(text, name, changes), Recipe)


def load_block(
    path: FilePath, choose: Callable[[Any], type[Block]], changes: Sequence[str] = (), plugins: bool = False
) -> Block:
    """A recipe file of another kind, such as a training's. choose: the class for the file's data. plugins: as above.

    Raises RecipeError with all faults.
    """
    document = changed(read_recipe_text(path), str(path), changes)
    chosen = choose(document.data or {})
    if "kind" in chosen.model_fields and is_build_recipe(document.data):
        raise RecipeError([f"{path} → is a recipe of a dataset: earthsynth-factory build {path}"])
    with plugins_allowed(plugins):
        return validated(document, chosen)


def is_training(data: Any) -> bool:
    """Whether this is what `train` reads, by its keys."""
    return (
        isinstance(data, dict) and "categories" not in data and bool(data.keys() & {"optim", "cf_comp", "data", "loss"})
    )


def is_build_recipe(data: Any) -> bool:
    """Whether this is what `build` reads, by its keys."""
    return isinstance(data, dict) and "categories" in data and "data" not in data


def export_blocks(formats: Sequence[str], changes: Sequence[str] = ()) -> tuple[ExportSpec, ...]:
    """Export blocks for `formats`, with changes such as `coco.polygons=true`. Raises RecipeError with all faults.

    A plug-in that is named here was named on a command line, and is imported.
    """
    document = Document("--format", {"exports": [{"kind": kind.strip()} for kind in formats]})
    overrides.apply(document, changes, within="exports.")
    with plugins_allowed():
        return validated(document, _Exports).exports


class _Exports(Spec):
    exports: tuple[ExportBlock, ...]

    @model_validator(mode="after")
    def _make_sense(self) -> _Exports:
        found = cross_checks.problems(self.model_dump())
        if found:
            raise cross_checks.MeaningError(found)
        return self
