"""What goes wrong at an object store, as an error of ours: whose fault it is, and none of its secrets."""

from __future__ import annotations

import os
import re

from earthsynth_factory.errors import DiskError, FactoryError, StoreError, first_line

AGAIN = {408, 409, 412, 425, 429}
"""HTTP's answers of the 400s that may be others the next time: late, in the way of another, too many."""

_SECRET = re.compile(
    r"\?\S+|(?<=//)[^/\s@]+@|(?i:signature|\bsig|token|secret|credential|password|key)[\w-]*[\"']?\s*[=:]\s*[\"']?\S+"
)
"""Queries, names before an `@`, and what follows the name of a secret."""

_KEPT = re.compile(r"(?i:key|key_id|secret|token|signature|password)\"?\s*[=:]\s*\"?([^;\"\n]{8,})")
"""A secret in the environment: a variable's, or a part of a connection string or of fsspec's JSON."""

_OF_STORES = ("AWS_", "AZURE_", "FSSPEC_", "GOOGLE_")


def fault_of(place: str, what: str, error: Exception) -> FactoryError:
    """The error that a user sees. StoreError: to be mended first; DiskError: the same command may go on later."""
    if isinstance(error, FactoryError):
        return error
    why = f"{place}: {what} ({said(error)})"
    status = _status(error)
    if isinstance(error, FileNotFoundError) or status == 404:
        return StoreError(f"{why}; is the bucket there?")
    if status in (401, 403) or _is_refusal(error):
        return StoreError(f"{why}; the environment's credentials do not allow it")
    if isinstance(error, ValueError | TypeError) or (400 <= status < 500 and status not in AGAIN):
        return StoreError(f"{why}; is the address right?")
    return DiskError(f"{why}; run the same command again once the store answers")


def said(error: Exception) -> str:
    """What a library's error says, without what may be a secret."""
    text = first_line(error, 1000)
    for secret in _kept_secrets():
        text = text.replace(secret, "…")
    return _SECRET.sub("…", text)[:200]


def _status(error: Exception) -> int:
    """HTTP's number of an answer, as Azure's and Google's libraries have it; 0 if there is none."""
    found = getattr(error, "status_code", None) or getattr(error, "code", None)
    return int(found) if isinstance(found, int | str) and str(found).isdecimal() else 0


def _is_refusal(error: Exception) -> bool:
    """Whether it is about credentials, by the names that the libraries give such errors."""
    if isinstance(error, PermissionError) or str(error).startswith("Forbidden: "):  # as gcsfs says it
        return True
    names = {kind.__name__ for kind in type(error).__mro__}
    return "TransportError" not in names and any("Credential" in name or "Auth" in name for name in names)


def _kept_secrets() -> list[str]:
    kept = "\n".join(f"{name}={value}" for name, value in os.environ.items() if name.startswith(_OF_STORES))
    return sorted(_KEPT.findall(kept), key=len, reverse=True)
