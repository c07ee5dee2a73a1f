"""Where weights are: in the package, in a folder, or in the hub's cache. Found and hashed here, without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from earthsynth_factory.errors import ModelError
from earthsynth_factory.io.stamps import Stamp, stamp

EMBEDDED = Path(__file__).parent.parent / "assets" / "embedded"
"""Folder of the models that ship inside the package: `pipeline/`, `clip/` and `segmenter/`."""


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository on the Hugging Face hub, at one revision (a commit, a tag or a branch)."""

    name: str
    revision: str
    patterns: tuple[str, ...]
    """Which files are needed, as glob patterns."""


def locate(repository: HubRepository) -> Path:
    """The folder of a repository's snapshot: from the cache, else downloaded.

    Raises ModelError with both remedies where it is neither cached nor within reach.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # its account of every retry would bury ours

    def snapshot(cached_only: bool) -> Path:
        patterns = list(repository.patterns)
        folder = snapshot_download(
            repository.name, revision=repository.revision, allow_patterns=patterns, local_files_only=cached_only
        )
        return Path(folder)

    try:
        return snapshot(cached_only=True)
    except LocalEntryNotFoundError:
        pass
    try:
        return snapshot(cached_only=False)
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        include = " ".join(f"--include '{pattern}'" for pattern in repository.patterns)
        raise ModelError(
            f"{repository.name} (revision {repository.revision}) is not in the hub's cache and cannot be downloaded "
            f"({type(error).__name__}).\n"
            f"  With a network:  hf download {repository.name} --revision {repository.revision} {include}\n"
            "  Without one:     set `model: embedded` in the recipe, which needs no download"
        ) from error


def is_cached(repository: HubRepository) -> bool:
    """Whether the hub's cache has the repository at its revision; no network is asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        patterns = list(repository.patterns)
        snapshot_download(repository.name, revision=repository.revision, allow_patterns=patterns, local_files_only=True)
    except LocalEntryNotFoundError:
        return False
    return True


def weight_hashes(folder: Path) -> dict[str, str]:
    """Relative path → sha256 of every safetensors file below `folder`. Raises ModelError where there is none."""
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise ModelError(
            f"{folder}: no safetensors weights here (other formats are not read, they could run code); "
            "convert them with `save_pretrained(..., safe_serialization=True)`"
        )
    return {str(path.relative_to(folder)): file_hash(path) for path in files}


def file_hash(path: Path) -> str:
    """sha256 of a file, as hex; remembered until the file changes."""
    return _sha256(path, stamp(path))


@lru_cache(maxsize=64)
def _sha256(path: Path, _stamp: Stamp) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
