"""Class words of a dataset → categories, by the taxonomy's alias table and the user's map file.

A map file is YAML, one line a class of the dataset:

    car: small vehicle             # a word of the dataset: a category
    cyclist: background            # left out, and counted as such
    shadow: ignore                 # its pixels are of no class, and are not taken for background either
    solar panel: {id: 100}         # a category of the user's own
    3: road                        # an id of id masks
    "#3C1098": building            # a colour of colour masks
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.domain.taxonomy import (
    BACKGROUND,
    IGNORE,
    MAX_ID,
    Category,
    Taxonomy,
    earthsynth,
    make_category,
    normalise,
)
from earthsynth_factory.errors import InputError, SourceError
from earthsynth_factory.importers.yaml_of_strangers import read_yaml

_SUGGESTED = 100
"""The first id that is suggested for a category of the user's own."""

_IGNORED = frozenset(
    {
        "ignore",
        "ignored",
        "void",
        "no data",
        "nodata",
        "unlabeled",
        "unlabelled",
        "unknown",
        "undefined",
        "unclassified",
    }
)
"""Words for "nobody knows what is here"."""


@dataclass(frozen=True)
class ClassMap:
    """taxonomy: the built-in categories and the user's own. words, ids, colours: what the map file says.

    Keys of `words` are normalised spellings, `colours` are 0xRRGGBB; values are category ids, 0 for "leave out", `IGNORE` for
    "of no known class".
    """

    taxonomy: Taxonomy
    words: Mapping[str, int]
    ids: Mapping[int, int]
    colours: Mapping[int, int]

    def find(self, word: str) -> int | None:
        """The category id of a word of the dataset, 0 if it is to be left out, None if it is unknown."""
        key = normalise(word)
        if key in self.words:
            return self.words[key]
        if key in _IGNORED:
            return IGNORE
        found = self.taxonomy.find(word)
        return None if found is None else found.id

    def usual(self, word: str, meaning: str) -> str:
        """What a reader takes a word of its dataset for: `meaning`, unless the map file says something of the word."""
        return word if normalise(word) in self.words else meaning

    def id_of(self, word: str) -> int:
        """As `find`. Raises `SourceError` if the word is unknown."""
        found = self.find(word)
        if found is None:
            raise SourceError(f"class {word!r} is in no table; add it to the file given by --map")
        return found

    def check(self, words: Mapping[str, int | None], place: Path) -> list[str]:
        """Words that are unknown and that nothing uses.

        Raises `InputError` that lists every other unknown word with its count, as the lines of a map that makes it a category
        of the user's own: what it means is for the user to say.
        """
        unknown = {word: count for word, count in words.items() if self.find(word) is None}
        asked = {word: count for word, count in unknown.items() if count != 0}
        if not asked:
            return sorted(unknown)
        free = (number for number in range(_SUGGESTED, MAX_ID + 1) if number not in self.taxonomy)
        lines = [f"  {_key(word)}: {_own_category(count, next(free, MAX_ID))}" for word, count in sorted(asked.items())]
        head = f"{place}: {len(asked)} of its {len(words)} classes are unknown. Say what they are in a file for --map:"
        tail = "  (or a category's name in place of {id: …}: `recipe categories` lists all; `background` leaves a class out)"
        raise InputError("\n".join([head, *lines, tail]))


def _own_category(count: int | None, number: int) -> str:
    return f"{{id: {number}}}" + (f"   # {count} objects" if count else "")


def _key(word: str) -> str:
    """The word as a key of YAML: quoted if YAML would take it for something else."""
    plain = re.fullmatch(r"[^\W\d_](?:[\w -]*\w)?", word) and word.lower() not in ("null", "true", "false")
    return word if plain else orjson.dumps(word).decode()


def read_map(path: Path | None) -> ClassMap:
    """The map file's meaning, or the built-in table alone. Raises `InputError` with every fault of the file."""
    entries = _load(path) if path else {}
    taxonomy = earthsynth().extended(_own(entries, path))
    words: dict[str, int] = {}
    ids: dict[int, int] = {}
    colours: dict[int, int] = {}
    faults = []
    for key, value in entries.items():
        category = _category(taxonomy, key, value)
        if category is None:
            near = taxonomy.nearest(str(value))
            faults.append(
                f"{path}: {key}: no category is called {value!r}"
                + (f"; near: {', '.join(near)}" if near else "")
                + "; {id: 100} in its place makes a category of your own"
            )
        elif isinstance(key, int):
            ids[key] = category
        elif key.startswith("#"):
            colours[_colour(key, path, faults)] = category
        else:
            words[normalise(key)] = category
    if faults:
        raise InputError("\n".join(faults))
    return ClassMap(taxonomy, words, ids, colours)


def table_of_names(names: Iterable[str]) -> dict[int, str]:
    """0, 1, 2 … → names, as class lists give them."""
    return dict(enumerate(names))


def _load(path: Path) -> dict[str | int, Any]:
    try:
        document = read_yaml(path)
    except SourceError as error:
        raise InputError(f"{error}; check --map") from error
    if not isinstance(document, dict) or not all(isinstance(key, str | int) for key in document):
        raise InputError(f"{path}: a map has lines `class of the dataset: category`")
    return document


def _own(entries: Mapping[str | int, Any], path: Path | None) -> list[Category]:
    """The user's own categories: entries whose value is a block with an id."""
    found: dict[str, Category] = {}
    for key, value in entries.items():
        if isinstance(value, dict):
            if not isinstance(value.get("id"), int) or not set(value) <= {"id", "name", "thing"}:
                raise InputError(f"{path}: {key}: a category of your own is {{id: number, name: …, thing: true}}")
            name = str(value.get("name", key))
            found[name] = make_category(value["id"], name, thing=bool(value.get("thing", True)))
    return list(found.values())


def _category(taxonomy: Taxonomy, key: str | int, value: Any) -> int | None:
    if isinstance(value, dict):
        value = value.get("name", key)
    if value is None or normalise(str(value)) == "background":
        return BACKGROUND
    if normalise(str(value)) == "ignore":
        return IGNORE
    category = taxonomy.find(str(value))
    return None if category is None else category.id


def _colour(key: str, path: Path | None, faults: list[str]) -> int:
    try:
        if len(key) != 7:
            raise ValueError
        return int(key[1:], 16)
    except ValueError:
        faults.append(f'{path}: {key}: a colour is written "#RRGGBB"')
        return -1
