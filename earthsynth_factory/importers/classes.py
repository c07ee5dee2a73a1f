"""Class words of a dataset → categories, by the taxonomy's alias table and the user's map file.

A map file is YAML, one line a class of the dataset:

    car: small vehicle             # a word of the dataset: a category
    cyclist: background            # left out, and counted as such
    solar panel: {id: 100}         # a category of the user's own
    3: road                        # an id of id masks
    "#3C1098": building            # a colour of colour masks
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.domain.taxonomy import (
    BACKGROUND,
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


@dataclass(frozen=True)
class ClassMap:
    """taxonomy: the built-in categories and the user's own. words, ids, colours: what the map file says.

    Keys of `words` are normalised spellings, `colours` are 0xRRGGBB; values are category ids, 0 for "leave out".
    """

    taxonomy: Taxonomy
    words: Mapping[str, int]
    ids: Mapping[int, int]
    colours: Mapping[int, int]

    def find(self, word: str) -> int | None:
        """The category id of a word of the dataset, 0 where it is to be left out, None where it is unknown."""
        key = normalise(word)
        if key in self.words:
            return self.words[key]
        found = self.taxonomy.find(word)
        return None if found is None else found.id

    def usual(self, word: str, meaning: str) -> str:
        """What a reader takes a word of its dataset for: `meaning`, unless the map file says something of the word."""
        return word if normalise(word) in self.words else meaning

    def id_of(self, word: str) -> int:
        """As `find`. Raises `SourceError` where the word is unknown."""
        found = self.find(word)
        if found is None:
            raise SourceError(f"class {word!r} is in no table; add it to the file given by --map")
        return found

    def check(self, words: Mapping[str, int], place: Path) -> None:
        """Raises `InputError` that lists every unknown word with its count, the nearest known, and the map to write."""
        unknown = {word: count for word, count in words.items() if self.find(word) is None}
        if not unknown:
            return
        free = (number for number in range(_SUGGESTED, MAX_ID + 1) if number not in self.taxonomy)
        lines = [self._suggestion(word, count, free) for word, count in sorted(unknown.items())]
        head = (
            f"{place}: {len(unknown)} of its {len(words)} classes are unknown. Say what they are in a file for --map:"
        )
        raise InputError("\n".join([head, *lines]))

    def _suggestion(self, word: str, count: int, free: Iterator[int]) -> str:
        near = self.taxonomy.nearest(word)
        used = f"{count} objects; " if count else ""
        own = f"no name is near; {{id: {next(free, MAX_ID)}}} makes a category of your own"
        hint = f"nearest: {', '.join(near)}" if near else own
        return f"  {_key(word)}: {near[0] if near else 'background'}   # {used}{hint}"


def _key(word: str) -> str:
    """The word as a key of YAML: quoted where YAML would take it for something else."""
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
    if value is None or normalise(str(value)) in ("background", "ignore"):
        return BACKGROUND
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
