"""YAML text → plain data that remembers where every key and value stands.

The text is hostile until shown otherwise: tags make no objects, aliases and nesting are bounded, and every fault found
is kept while reading goes on. YAML 1.2: `no` and `on` are words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from earthsynth_factory.io.printable import one_line
from earthsynth_factory.recipe.cross_checks import Path

MAX_VALUES = 100_000
"""Most values in a recipe, each alias counted as what it stands for."""

MAX_DEPTH = 50
"""Deepest nesting of a recipe."""

_SCALARS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str"))
_DATE = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a recipe: `place: path: value → message`, without the parts that do not apply.

    order: line and column, for listing faults in the order of the file.
    """

    place: str
    path: Path
    value: str
    message: str
    order: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        subject = ": ".join(part for part in (self.place, ".".join(map(str, self.path)), self.value) if part)
        # Line breaks and terminal escapes of a hostile file are shown, not obeyed.
        return one_line(f"{subject} → {self.message}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, for a person (`recipe.yaml:3:7`) and for sorting."""

    text: str
    order: tuple[int, int] = (0, 0)


class TooMuchError(Exception):
    """The document is larger or deeper than any recipe."""


@dataclass
class Document:
    """Plain data (dicts, lists, scalars) with the places of its keys and values, and the faults met so far."""

    name: str
    data: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    unread: set[Path] = field(default_factory=set)
    """Paths whose value could not be read, and has its fault already."""

    def place(self, path: Path, of_key: bool = False) -> Place:
        """The place of the value (or key) at `path`, or of the nearest thing around it that was written."""
        if of_key and path in self.keys:
            return self.keys[path]
        while path not in self.values and path:
            path = path[:-1]
            if path in self.keys:
                return self.keys[path]
        return self.values.get(path, Place(f"{self.name}:1:1"))

    def fault(self, path: Path, message: str, value: str = "", of_key: bool = False, at: int = 0) -> None:
        """Note a fault at `path`; `value` is how the value is shown, `at` how many of its characters are before the fault."""
        place = self.place(path, of_key)
        if at and place.order != (0, 0):
            line, column = place.order
            place = Place(f"{self.name}:{line + 1}:{column + at + 1}", (line, column + at))
        self.faults.append(Fault(place.text, path, value, message, place.order))


def shown(value: Any) -> str:
    """A value as a fault shows it: short, on one line, as YAML would write it."""
    if isinstance(value, dict):
        text = "{" + ", ".join(map(str, value)) + "}"
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def read_document(text: str, name: str) -> Document:
    """The document in `text`; faults of syntax and structure are in its `faults`, and `data` is what could be read."""
    document = Document(name)
    try:
        _bound(text)
        node = _yaml().compose(text)
        if node is not None:
            document.data = _Reader(document, _yaml()).value(node, (), 0)
    except MarkedYAMLError as error:
        _note_syntax(document, text, error)
    except TooMuchError as error:
        document.faults.append(Fault(name, (), "", str(error)))
    except (YAMLError, ValueError) as error:
        document.faults.append(Fault(name, (), "", f"is no YAML: {_one_line(str(error))}"))
    return document


def _bound(text: str) -> None:
    """Raises TooMuchError on a text whose nodes would be too deep or too many; events cost no memory and no stack."""
    depth = 0
    for count, event in enumerate(_yaml().parse(text)):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise TooMuchError(f"nested more than {MAX_DEPTH} deep; no recipe is")
        if count > 4 * MAX_VALUES:
            raise TooMuchError(f"more than {MAX_VALUES} values; no recipe has as many")


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _note_syntax(document: Document, text: str, error: MarkedYAMLError) -> None:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    written = lines[line] if line < len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        message = "a tab indents this line; use spaces"
    else:
        message = f"is no YAML: {_one_line(str(error.problem or error.context))}{_syntax_hint(str(error.problem))}"
    document.faults.append(Fault(f"{document.name}:{line + 1}:{column + 1}", (), "", message, (line, column)))


def _syntax_hint(problem: str) -> str:
    hints = {
        "mapping values are not allowed": "; put text with a colon in quotes, or mend the indentation",
        "expected <block end>": "; the indentation does not match the lines above",
        "could not find expected ':'": "; a key needs a colon and a space after it",
        "found undefined alias": "; an alias needs an anchor (&name) before it",
        "expected a single document": "; remove the lines from the second `---` on",
    }
    return next((hint for start, hint in hints.items() if problem.startswith(start) or start in problem), "")


class _Reader:
    """Turns nodes into data, noting places and faults in the document."""

    def __init__(self, document: Document, yaml: YAML) -> None:
        self.document = document
        self.yaml = yaml
        self.count = 0

    def value(self, node: Node, path: Path, depth: int) -> Any:
        """The data of a node at `path`."""
        self.count += 1
        if self.count > MAX_VALUES:
            raise TooMuchError(f"more than {MAX_VALUES} values, aliases counted in full; no recipe has as many")
        if depth > MAX_DEPTH:
            raise TooMuchError(f"nested more than {MAX_DEPTH} deep; no recipe is")
        self.document.values[path] = self._place(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _place(self, node: Node) -> Place:
        line, column = node.start_mark.line, node.start_mark.column
        return Place(f"{self.document.name}:{line + 1}:{column + 1}", (line, column))

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in self._pairs(node, path, depth):
            key = self._key(key_node, path)
            if key is None:
                continue
            inside = (*path, key)
            if key in found:
                first = self.document.keys[inside].text.removeprefix(f"{self.document.name}:")
                place = self._place(key_node)
                self.document.faults.append(
                    Fault(place.text, inside, "", f"this key is given already at {first}; keep one", place.order)
                )
                continue
            self.document.keys[inside] = self._place(key_node)
            found[key] = self.value(value_node, inside, depth + 1)
        return found

    def _pairs(self, node: MappingNode, path: Path, depth: int) -> Iterator[tuple[Node, Node]]:
        """The node's own pairs, then those that `<<: *anchor` brings and the node does not have itself."""
        merged = [value for key, value in node.value if key.tag == _MERGE]
        own = [(key, value) for key, value in node.value if key.tag != _MERGE]
        yield from own
        seen = {key.value for key, _ in own if isinstance(key, ScalarNode)}
        for source in merged:
            if not isinstance(source, MappingNode) or depth > MAX_DEPTH:
                self.document.fault(path, "`<<` takes one alias of a block (<<: *name)")
                continue
            for key, value in self._pairs(source, path, depth + 1):
                if isinstance(key, ScalarNode) and key.value not in seen:
                    seen.add(key.value)
                    yield key, value

    def _key(self, node: Node, path: Path) -> Any:
        if not isinstance(node, ScalarNode):
            place = self._place(node)
            self.document.faults.append(Fault(place.text, path, "", "a key must be a word, not a block", place.order))
            return None
        key = self._scalar(node, path)
        return node.value if isinstance(key, bool | float) or key is None else key

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        """A null, truth value, number or text; what YAML takes for a date is the text it is written as."""
        if node.tag == _DATE:
            return node.value
        if node.tag not in _SCALARS:
            self._note(node, path, f"the tag {node.tag} is not used in recipes; remove it")
            return node.value
        try:
            found = self.yaml.constructor.construct_object(node)
        except (ValueError, YAMLError):
            self._note(node, path, "cannot be read; put it in quotes if it is a text")
            return None
        if isinstance(found, int | float) and not (math.isfinite(found) if isinstance(found, float) else _fits(found)):
            self._note(node, path, "is no finite number of usual size")
            return None
        return found

    def _note(self, node: Node, path: Path, message: str) -> None:
        place = self._place(node)
        self.document.unread.add(path)
        self.document.faults.append(Fault(place.text, path, shown(node.value), message, place.order))


def _fits(number: int) -> bool:
    return -(2**63) <= number < 2**63
