"""`run.json`: what a dataset was made from and with. Equal builds write equal records; times are kept elsewhere."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from earthsynth_factory import __version__
from earthsynth_factory.datasets.build.layout import Layout
from earthsynth_factory.datasets.build.reader import StoreReader
from earthsynth_factory.errors import StoreError
from earthsynth_factory.recipe.fingerprint import difference
from earthsynth_factory.recipe.schema import Recipe

FORMAT = "earthsynth-factory/run"
_PACKAGES = ("torch", "diffusers", "transformers", "open-clip-torch", "numpy", "opencv-python-headless")


def new_record(recipe: Recipe, identity: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    """The record of a build that begins. identity: what decides the pixels, beside the recipe."""
    return {
        "format": FORMAT,
        "version": 1,
        "name": recipe.name,
        "recipe": recipe.model_dump(mode="json"),
        "fingerprint": fingerprint,
        "identity": dict(identity),
        "taxonomy": [asdict(category) for category in recipe.taxonomy()],
        "targets": list(recipe.targets()),
        "splits": list(recipe.splits),
        "images": recipe.images,
        "shard_size": recipe.engine.shard_size,
        "software": {"earthsynth-factory": __version__, "python": platform.python_version(), **_versions()},
    }


def adopt(out: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The record to go on with in `out`: the stored one where it is of the same build, else `record`.

    The stored shard size stands, since the shards on disk have it. Raises StoreError where the folder holds something
    else; it is never emptied.
    """
    layout = Layout(out)
    if not layout.run.is_file():
        return record
    stored = StoreReader(out).run
    if stored.get("format") != FORMAT:
        raise StoreError(f"{layout.run}: not a run record; choose another folder with --out")
    if stored["fingerprint"] != record["fingerprint"]:
        differs = "\n".join(f"  {line}" for line in difference(_decisive(stored), _decisive(record)))
        raise StoreError(
            f"{out}: holds another build (fingerprint {stored['fingerprint'][:12]}, this recipe gives "
            f"{record['fingerprint'][:12]}). What differs:\n{differs}\n"
            "Choose another folder with --out, or build the stored recipe. Nothing was changed."
        )
    return {**stored, **record, "shard_size": stored["shard_size"]}


def _decisive(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"recipe": record["recipe"], "identity": record["identity"]}


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
