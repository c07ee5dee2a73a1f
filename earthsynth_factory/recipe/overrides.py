"""`--set path=value`: changes to a recipe's data before it is checked, so that they obey the same schema."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from earthsynth_factory.domain.taxonomy import normalise
from earthsynth_factory.recipe.cross_checks import Path
from earthsynth_factory.recipe.document import Document, Fault, Place, read_document, shown


def apply(document: Document, changes: Sequence[str], within: str = "") -> None:
    """Change `document` as `changes` say (`image.size=256`, `categories.plane.count=5`, `exports.0=coco`), in order.

    The value is YAML. A list's item is named by its position, or by the word of its `name` or `kind`; the position after
    the last one appends. What cannot be followed becomes a fault of the document. within: a path, with its last dot, that
    the user's own start from.
    """
    for number, change in enumerate(changes):
        place = Place(f"--set {change}", (number, 0))
        keys, equals, text = change.partition("=")
        words = (within + keys).split(".")
        if not equals or not all(words):
            _note(document, place, "write it as key=value, as in image.size=256")
            continue
        value = read_document(text, place.text)
        if value.faults:
            _note(document, place, value.faults[0].message)
            continue
        try:
            _replace_places(document, _assign(document, words, value.data), place)
        except LookupError as error:
            _note(document, place, str(error.args[0]))


def _note(document: Document, place: Place, message: str) -> None:
    document.faults.append(Fault(place.text, (), "", message, place.order))


def _assign(document: Document, words: list[str], value: Any) -> Path:
    """Put `value` where `words` lead, making blocks on the way; the path it now has. Raises LookupError."""
    if not isinstance(document.data, dict):
        document.data = {}
    target: Any = document.data
    path: Path = ()
    for position, word in enumerate(words):
        key = _key(target, word, ".".join(words[:position]))
        path = (*path, key)
        last = position == len(words) - 1
        if isinstance(target, list) and key == len(target):
            target.append(value if last else {})
        elif last:
            target[key] = value
        elif isinstance(target, dict) and target.get(key) is None:
            target[key] = {}
        target = target[key]
    return path


def _key(target: Any, word: str, where: str) -> str | int:
    """The key or position that `word` means in `target`. Raises LookupError with the remedy."""
    if isinstance(target, dict):
        return word
    if not isinstance(target, list):
        raise LookupError(f"`{where}` is {shown(target)}, which has no keys")
    if word.isdecimal() and len(word) <= 6 and int(word) <= len(target):
        return int(word)
    for index, item in enumerate(target):
        names = [item.get("name"), item.get("kind")] if isinstance(item, dict) else [item]
        if any(isinstance(name, str) and normalise(name) == normalise(word) for name in names):
            return index
    raise LookupError(
        f"`{where}` has {len(target)} items, numbered from 0; none of them is {word!r}{_near(target, word)}"
    )


def _near(items: Sequence[Any], word: str) -> str:
    """The item that is likely meant, or what there is."""
    names = [name for item in items for name in (item.values() if isinstance(item, dict) else [item])]
    known = list(dict.fromkeys(name for name in names[: 8 * len(items)] if isinstance(name, str)))
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known[:12])}" if known else ""


def _replace_places(document: Document, path: Path, place: Place) -> None:
    for places in (document.values, document.keys):
        for known in [known for known in places if known[: len(path)] == path]:
            del places[known]
    for length in range(1, len(path) + 1):
        if path[:length] not in document.values or length == len(path):
            document.values[path[:length]] = document.keys[path[:length]] = place
