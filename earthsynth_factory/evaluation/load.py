"""An evaluation's recipe from a file, from options, or from a file with options that win."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import InputError
from earthsynth_factory.evaluation.spec import EvaluationRecipe
from earthsynth_factory.io.mirror import located
from earthsynth_factory.recipe.document import Document
from earthsynth_factory.recipe.reading import changed, read_recipe_text, validated


def load(path: Path | None, given: Mapping[str, Any]) -> EvaluationRecipe:
    """The recipe with absolute paths. Raises RecipeError with all faults, InputError if options are missing; of a
    folder in an object store StoreError, DiskError."""
    if path is None:
        missing = [f"--{name}" for name in ("real", "synthetic", "task") if name not in given]
        if missing:
            raise InputError(f"{', '.join(missing)}: missing; give these, or a recipe file")
        return _placed(validated(Document("options", dict(given)), EvaluationRecipe), Path.cwd())
    document = changed(read_recipe_text(path), str(path), [])
    if isinstance(document.data, dict):
        document.data.update(given)
    return _placed(validated(document, EvaluationRecipe), path.resolve().parent)


def _placed(recipe: EvaluationRecipe, base: Path) -> EvaluationRecipe:
    """With folders of this machine; what lies in an object store is fetched."""
    found = {"real": located(base, recipe.real), "synthetic": tuple(located(base, one) for one in recipe.synthetic)}
    compare = None if recipe.compare is None else located(base, recipe.compare)
    return recipe.model_copy(update={**found, "compare": compare})
