"""How long and how wide things truly are, as the table of categories says."""

from __future__ import annotations

from earthsynth_factory.domain.categories import Size, rows

__all__ = ["GENERIC", "SIZES", "Size"]

SIZES: dict[str, Size] = {row.name: row.size for row in rows() if row.size}

GENERIC = Size((8, 24), (0.5, 0.8), "a user's own thing, if the recipe gives no object_size")
