"""All checks over a recipe: what stops a build as one error, what is only doubtful as lines to read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from earthsynth_factory.build.preflight import model_fit, space, weights
from earthsynth_factory.build.preflight.finding import Finding, Stops, value_at
from earthsynth_factory.build.preflight.sources import look_at_sources
from earthsynth_factory.recipe.document import Document, shown
from earthsynth_factory.recipe.load import LoadedRecipe
from earthsynth_factory.recipe.reading import ordered, refused


def check(loaded: LoadedRecipe, out: Path | None = None, building: bool = False) -> list[str]:
    """Warnings, each with its place in the recipe. Raises RecipeError with every fault.

    out: where the build would write; None if that is not known. building: what stands in the way of a build alone is a
    fault too. No model is loaded and nothing downloaded; masks are counted, which an index remembers.
    """
    found = [
        *weights.look(loaded),
        *model_fit.look(loaded),
        *look_at_sources(loaded),
        *space.look(loaded, out),
    ]
    least = Stops.BUILD if building else Stops.EVERYTHING
    faults = [finding for finding in found if finding.stops.value >= least.value]
    if faults:
        raise refused(_noted(loaded.document, faults))
    return ordered(_noted(loaded.document, found))


def _noted(document: Document, findings: list[Finding]) -> Document:
    """A document of the same places that holds the findings as its faults."""
    noted = replace(document, faults=[])
    for finding in findings:
        value = value_at(document.data, finding.path)
        noted.fault(
            finding.path, finding.message, "" if value is None or isinstance(value, dict | list) else shown(value)
        )
    return noted
