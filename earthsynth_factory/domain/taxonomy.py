"""Categories: ids, names, colours and the words a prompt uses for them.

The built-in ones, with all that is known of each, stand in `categories.toml`.
"""

from __future__ import annotations

import colorsys
import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from earthsynth_factory.domain.categories import rows
from earthsynth_factory.errors import InputError

BACKGROUND = 0
"""Id of "anything else". It is never an instance and never named in a prompt."""

MAX_ID = 254
"""Largest id a category may have: masks are 8 bit and 255 is `IGNORE`."""

IGNORE = 255
"""In masks: nobody knows or says what is there (no picture, a class left out, a crowd). Never background, never a class."""


EARTHSYNTH_TEMPLATE = "A satellite image of {classes}"
"""EarthSynth's prompt, with the names of the present classes in ascending id (public repository)."""


_ALIASES = {spelling: row.name for row in rows() for spelling in row.also}
"""Spellings met in datasets that normalising alone does not reach."""

_FUSED_NAMES = {row.name.lower().replace(" ", ""): row.name for row in rows()} | {
    alias.replace(" ", ""): name for alias, name in _ALIASES.items()
}
"""Some datasets write names in one word: `basketballcourt`, `expresswalltoll station`."""


@dataclass(frozen=True, slots=True)
class Category:
    """One class of the map. `thing` categories are counted in instances, the others are land cover.

    `color` is sRGB, 0–255. `words` is what a prompt says for it.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    thing: bool
    words: str

    def __post_init__(self) -> None:
        if not 0 <= self.id <= MAX_ID:
            raise InputError(
                f"category {self.name!r}: id {self.id} is outside 0–{MAX_ID} (masks are 8 bit, 255 means ignore)"
            )
        if len(self.color) != 3 or not all(0 <= channel <= 255 for channel in self.color):
            raise InputError(f"category {self.name!r}: colour {self.color} is not three numbers 0–255")


@dataclass(frozen=True)
class Taxonomy:
    """An immutable set of categories, found by id or by any usual spelling of the name."""

    categories: tuple[Category, ...]

    def __post_init__(self) -> None:
        seen_ids: set[int] = set()
        seen_names: set[str] = set()
        for category in self.categories:
            key = normalise(category.name)
            if category.id in seen_ids:
                raise InputError(
                    f"category {category.name!r}: id {category.id} is taken; choose a free id up to {MAX_ID}"
                )
            if key in seen_names:
                raise InputError(
                    f"category {category.name!r}: the name is taken; names differ in more than case and hyphens"
                )
            seen_ids.add(category.id)
            seen_names.add(key)
        object.__setattr__(self, "_by_id", {category.id: category for category in self.categories})
        object.__setattr__(self, "_by_name", {normalise(category.name): category for category in self.categories})

    _by_id: dict[int, Category] = None  # type: ignore[assignment]  # filled in __post_init__
    _by_name: dict[str, Category] = None  # type: ignore[assignment]  # filled in __post_init__

    def __iter__(self) -> Iterator[Category]:
        return iter(self.categories)

    def __contains__(self, category_id: object) -> bool:
        return category_id in self._by_id

    def __getitem__(self, category_id: int) -> Category:
        """The category with this id. Raises `InputError` naming the id if there is none."""
        try:
            return self._by_id[category_id]
        except KeyError:
            raise InputError(
                f"no category has the id {category_id}; known ids: {min(self._by_id)}–{max(self._by_id)}"
            ) from None

    def find(self, name: str) -> Category | None:
        """The category of this name in any usual spelling (case, hyphens, plural, known aliases), or None."""
        key = normalise(name)
        if key in self._by_name:
            return self._by_name[key]
        alias = _ALIASES.get(key) or _FUSED_NAMES.get(key.replace(" ", ""))
        return self._by_name.get(normalise(alias)) if alias else None

    def asked_for(self, category: int | None) -> str:
        """What images are called that were asked for with this class, or with none."""
        return "negatives" if category is None else self[category].name

    def named(self, name: str) -> Category:
        """As `find`, but raises `InputError` with the nearest known names."""
        category = self.find(name)
        if category is None:
            near = self.nearest(name)
            hint = (
                f"did you mean {' or '.join(repr(n) for n in near)}?"
                if near
                else "see `earthsynth-factory recipe categories`"
            )
            raise InputError(f"unknown category {name!r}; {hint}")
        return category

    def nearest(self, name: str, count: int = 2) -> list[str]:
        """Up to `count` known names that look like `name`, best first."""
        keys = difflib.get_close_matches(normalise(name), [*self._by_name, *_ALIASES], n=count, cutoff=0.6)
        found = (self.find(key) for key in keys)
        return list(dict.fromkeys(category.name for category in found if category is not None))

    def extended(self, extra: Iterable[Category]) -> Taxonomy:
        """These categories with `extra` added; an id or name met twice is an `InputError`."""
        return Taxonomy((*self.categories, *extra))

    def palette(self) -> list[int]:
        """768 numbers: the flat RGB palette of an 8-bit PNG (unused entries are black, 255 is white)."""
        flat = [0] * 765 + [255, 255, 255]
        for category in self.categories:
            flat[3 * category.id : 3 * category.id + 3] = category.color
        return flat


@lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """The spelling-free key of a class name: lower case, words separated by single spaces, singular.

    >>> normalise("Storage-Tanks"), normalise("expresswayTollStation")
    ('storage tank', 'expressway toll station')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.sub(r"[\s_\-/]+", " ", spaced).strip().lower()
    singular = re.fullmatch(r"(.*[^s])s", words)
    return singular.group(1) if singular and not words.endswith(("grass", "bus")) else words


def color_of(category_id: int) -> tuple[int, int, int]:
    """A distinct sRGB colour for an id: hues by the golden angle, three levels of lightness."""
    hue = (category_id * 0.61803398875) % 1.0
    value = (0.95, 0.75, 1.0)[category_id % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 if category_id % 2 else 0.65, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def make_category(
    category_id: int,
    name: str,
    color: tuple[int, int, int] | None = None,
    thing: bool = True,
    words: str | None = None,
) -> Category:
    """A user's own category; colour and words are filled in if they are not given."""
    return Category(category_id, name, color or color_of(category_id), thing, words or name)


@cache
def earthsynth() -> Taxonomy:
    """EarthSynth's 69 categories, ids 0–68."""
    return Taxonomy(tuple(make_category(row.id, row.name, row.color, row.thing) for row in rows()))
