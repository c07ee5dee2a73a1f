"""Are the weights on this machine, and if not, can they be had?"""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from earthsynth_factory.build.preflight.finding import Finding, Findings, Stops
from earthsynth_factory.errors import ModelError
from earthsynth_factory.recipe.load import LoadedRecipe

SECONDS = 3.0
"""How long the hub is given to answer."""


def look(loaded: LoadedRecipe) -> Findings:
    """Models of the generator and of the rules that are missing, damaged in their form, or out of reach."""
    recipe, base = loaded.recipe, loaded.base
    yield from _generator(loaded)
    for place, rule in enumerate(recipe.rfilter.rules):
        try:
            rule.identity(base)
        except ModelError as error:
            yield Finding(("rfilter", "rules", place), str(error), Stops.BUILD)


def _generator(loaded: LoadedRecipe) -> Findings:
    """A model that is here must be one that can be driven; one that is not must be within reach."""
    from earthsynth_factory.models.hub import cached, half_cached

    recipe, base = loaded.recipe, loaded.base
    try:
        missing = [one for one in recipe.synthesis.repositories(base) if not cached(one)]
        recipe.synthesis.check(base, recipe.image.size)
        doubts = list(recipe.synthesis.doubts(base))
    except ModelError as error:
        for fault in str(error).splitlines():
            yield Finding(("synthesis", "model"), fault, Stops.EVERYTHING)
        return
    yield from (Finding(("synthesis", key), told) for key, told in doubts)
    if not missing:
        return
    names = " and ".join(dict.fromkeys(one.name for one in missing))
    bare = [one.name for one in missing if "/" not in one.name]  # most likely a folder's name, misspelt
    sought = f" (no such folder: {(base / bare[0]).resolve()})" if bare else ""
    half = next(filter(None, map(half_cached, missing)), "")
    where = f"not whole on this machine ({half})" if half else f"not on this machine{sought}"
    if why := unreachable():
        said = f"{names}: {where}, and {why}; fetch it with a network, or set `model: embedded`"
        yield Finding(("synthesis", "model"), said, Stops.BUILD)
    else:
        yield Finding(
            ("synthesis", "model"), f"{names}: {where}; the build downloads {'the rest' if half else 'it'} first"
        )


def unreachable() -> str | None:
    """Why the hub cannot be asked, in words; None if it answers, or if a proxy stands between."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return "HF_HUB_OFFLINE is set"
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return None
    address = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname or "", port), timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        return f"{address.hostname} does not answer ({getattr(error, 'strerror', None) or error})"
    return None
