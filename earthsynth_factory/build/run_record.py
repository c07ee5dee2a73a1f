"""The run record of a build that begins, or of the one that it goes on with."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from earthsynth_factory import __version__
from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.preflight.model_fit import unknown_targets
from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.run_record import FORMAT, AskedCounts, RunRecord
from earthsynth_factory.errors import StoreError
from earthsynth_factory.recipe.fingerprint import fingerprint, settings_difference
from earthsynth_factory.recipe.load import LoadedRecipe
from earthsynth_factory.recipe.schema import Recipe

_PACKAGES = ("torch", "diffusers", "transformers", "open-clip-torch", "numpy", "opencv-python-headless")


def record_for(loaded: LoadedRecipe, pipeline: Pipeline) -> RunRecord:
    """The record of a build of this recipe that begins. pipeline: of the recipe."""
    identity = identity_of(loaded.recipe, pipeline, loaded.base)
    unknown = unknown_targets(loaded.recipe, pipeline.card)
    return new_record(loaded.recipe, identity, fingerprint(loaded.recipe, identity), unknown)


def identity_of(recipe: Recipe, pipeline: Pipeline, base: Path) -> dict[str, Any]:
    """What decides the pixels beside the recipe: contents of the mask sources, hashes of the weights, thresholds."""
    learnt = pipeline.thresholds.plain()
    return {
        **({"thresholds": learnt} if learnt else {}),
        "sources": [source.fingerprint() for source, _ in pipeline.sources],
        "synthesis": dict(recipe.synthesis.identity(base)),
        "rfilter": [dict(rule.identity(base)) for rule in recipe.rfilter.rules],
    }


def new_record(recipe: Recipe, identity: Mapping[str, Any], fingerprint: str, unknown: Sequence[str] = ()) -> RunRecord:
    """The record of a build that begins. identity: what decides the pixels, beside the recipe. unknown: classes asked for
    that the model's card does not know.
    """
    return RunRecord(
        format=FORMAT,
        version=1,
        name=recipe.name,
        recipe=recipe.model_dump(mode="json"),
        fingerprint=fingerprint,
        identity=dict(identity),
        taxonomy=tuple(recipe.taxonomy()),
        targets=tuple(recipe.targets()),
        unknown=tuple(unknown),
        splits=tuple(recipe.splits),
        images=recipe.images,
        shard_size=recipe.engine.shard_size,
        software={"earthsynth-factory": __version__, "python": platform.python_version(), **_versions()},
    )


def resume_or_create(out: Path, record: RunRecord) -> RunRecord:
    """The record to go on with in `out`: what is stored there of the same build, else `record`.

    The stored shard size stands, since the shards on disk have it. Raises StoreError if the folder holds something
    else; it is never emptied.
    """
    if not BuildLayout(out).run.is_file():
        return record
    stored = BuildReader(out).run
    _check_attempts(out, stored, record)
    earlier = _earlier(stored, record)
    # Two fingerprints without a difference are of two versions: a key counts no more, or not yet.
    same = stored.fingerprint == record.fingerprint
    lines = [] if same else settings_difference(_decisive(stored, record), _decisive(record, record))
    if lines:
        differs = "\n".join(f"  {line}" for line in lines)
        raise StoreError(
            f"{out}: holds another build (fingerprint {stored.fingerprint[:12]}, this recipe gives "
            f"{record.fingerprint[:12]}). What differs:\n{differs}\n"
            "Choose another folder with --out, or build the stored recipe. Counts of classes that it asks for and "
            "`rfilter.max_attempts` may be raised in place. Nothing was changed."
        )
    known = {**({"line": stored.line} if stored.described else {}), **({"earlier": earlier} if earlier else {})}
    return record.model_copy(update={"shard_size": stored.shard_size, **known})


def _earlier(stored: RunRecord, given: RunRecord) -> tuple[AskedCounts, ...]:
    """What was asked for before what is asked for now."""
    return (*stored.earlier, stored.asked) if stored.asked != given.asked else stored.earlier


def _check_attempts(out: Path, stored: RunRecord, given: RunRecord) -> None:
    """Raises StoreError if fewer attempts are asked for than a build was made with: what it has could not have come."""
    was, now = (one.recipe.get("rfilter", {}).get("max_attempts", 0) for one in (stored, given))
    if now < was:
        raise StoreError(
            f"{out}: was built with max_attempts {was}, now {now}; it may be raised and not lowered. Set it back, or choose "
            "another folder with --out. Nothing was changed."
        )


def _decisive(record: RunRecord, given: RunRecord) -> dict[str, Any]:
    """What decides the pixels of what a build has: its counts do not, if those that are given cover them."""
    recipe = dict(record.recipe)
    if given.asked.covers(record.asked):
        counts = zip(recipe["categories"], given.asked.categories, strict=True)
        recipe |= {"categories": [{**block, "count": count} for block, count in counts]}
        recipe |= {"negatives": given.asked.negatives}
    return {"recipe": recipe, "identity": record.identity}


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
