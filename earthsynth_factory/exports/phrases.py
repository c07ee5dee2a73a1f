"""Where a caption names its classes, in characters."""

from __future__ import annotations

import re
from collections.abc import Iterable

from earthsynth_factory.domain.taxonomy import Category

Span = tuple[int, int]
"""First character and the one after the last."""


def grounded(caption: str, categories: Iterable[Category]) -> tuple[str, dict[int, Span]]:
    """The caption, and category id → where it names the category, by its words or its name.

    A category that it does not name is added at its end. Longer names go first and no character serves twice, so that
    `vehicle` is not found in `small vehicle`.
    """
    spans: dict[int, Span] = {}
    for category in sorted(categories, key=lambda category: (-len(category.words), category.id)):
        found = _find(caption, (category.words, category.name), spans.values())
        if found is None:
            caption += f", {category.words}"
            found = len(caption) - len(category.words), len(caption)
        spans[category.id] = found
    return caption, spans


def _find(caption: str, wordings: Iterable[str], taken: Iterable[Span]) -> Span | None:
    """The first free place of a wording as whole words, whatever its case."""
    used = list(taken)
    for wording in wordings:
        for match in re.finditer(rf"(?<!\w){re.escape(wording)}(?!\w)", caption, re.IGNORECASE):
            if all(match.end() <= start or end <= match.start() for start, end in used):
                return match.span()
    return None
