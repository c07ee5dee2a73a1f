"""The page."""

from __future__ import annotations


def page(document, pool, summary) -> bytes:
    return b""
