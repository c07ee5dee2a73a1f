"""What values of a recipe mean together: names that exist, ids that are free, shares that sum to 1.

Works on plain data in which other faults may stand, so that a user hears of a misspelled name and a wrong number at once;
what has the wrong type is passed over here, for the schema refuses it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earthsynth_factory.domain.taxonomy import (
    BACKGROUND,
    MAX_ID,
    Category,
    Taxonomy,
    earthsynth,
    make_category,
    normalise,
)
from earthsynth_factory.errors import InputError

OWN_KEYS = ("id", "color", "thing")
"""Keys that only a category of the user's own may have; one of them makes it one."""

MAX_IMAGES = 9_999_999
"""Most images of a recipe: seven digits name an image's files."""

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the recipe to a value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the value at `path`, with the remedy. at: characters of the value before what is wrong."""

    path: Path
    message: str
    at: int = 0


class MeaningError(ValueError):
    """Values that contradict each other."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems))
        self.problems = problems


def problems(data: Mapping[str, Any]) -> list[Problem]:
    """Every contradiction in a recipe's data, in no particular order."""
    return [
        *_categories(data),
        *_splits(data),
        *_total(data),
        *_sources(data),
        *_attempts(data),
        *_repeated(data),
        *_exported(data),
        *_paired(data),
        *_worded(data),
        *_offloaded(data),
    ]


def taxonomy_of(blocks: Sequence[Mapping[str, Any]]) -> Taxonomy:
    """EarthSynth's categories extended by those of `blocks` that are none of them.

    An id that is left out is the lowest free one above 68, in order of appearance. Raises InputError on a clash.
    """
    own = [block for block in blocks if earthsynth().find(block["name"]) is None]
    taken = {block["id"] for block in own if block.get("id") is not None}
    free = (number for number in range(len(earthsynth().categories), MAX_ID + 1) if number not in taken)
    return earthsynth().extended(_own_category(block, free) for block in own)


def _own_category(block: Mapping[str, Any], free: Iterator[int]) -> Category:
    given = block.get("id")
    category_id = next(free, MAX_ID + 1) if given is None else given
    return make_category(
        category_id,
        block["name"],
        color=block.get("color"),
        thing=block.get("thing") is not False,
        words=block.get("words"),
    )


def _categories(data: Mapping[str, Any]) -> Iterator[Problem]:
    blocks = _named_blocks(data)
    known = _known(blocks)
    seen: dict[str, int] = {}
    for index, block in blocks:
        category = earthsynth().find(block["name"])
        key = category.name if category else normalise(block["name"])
        if key in seen:
            yield Problem(
                ("categories", index, "name"),
                f"the same class as categories.{seen[key]}; give one of the two the whole count",
            )
            continue
        seen[key] = index
        yield from _own(index, block, blocks) if category is None else _built_in(index, block, category)
        yield from _context(index, block, known)


def _named_blocks(data: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """(index, block) of the category blocks that have a name at all."""
    blocks = data.get("categories")
    if not isinstance(blocks, list | tuple):
        return []
    return [
        (index, block)
        for index, block in enumerate(blocks)
        if isinstance(block, Mapping) and isinstance(block.get("name"), str) and block["name"].strip()
    ]


def _is_own(block: Mapping[str, Any]) -> bool:
    return any(block.get(key) is not None for key in OWN_KEYS)


def _known(blocks: Sequence[tuple[int, Mapping[str, Any]]]) -> Taxonomy:
    """A taxonomy to look names up in, with the own categories under ids of no meaning."""
    own = {normalise(block["name"]): block["name"] for _, block in blocks if earthsynth().find(block["name"]) is None}
    first = len(earthsynth().categories)
    fits = list(own.values())[: MAX_ID + 1 - first]
    return earthsynth().extended(make_category(first + index, name) for index, name in enumerate(fits))


def _own(index: int, block: Mapping[str, Any], blocks: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    if not _is_own(block):
        yield Problem(
            ("categories", index, "name"),
            f"{unknown_category(earthsynth(), block['name'])} (a class of your own needs one of `id`, `color`, `thing`)",
        )
        return
    given = block.get("id")
    if not isinstance(given, int):
        return
    if given in earthsynth():
        yield Problem(
            ("categories", index, "id"),
            f"belongs to the built-in {earthsynth()[given].name!r}; choose one in "
            f"{len(earthsynth().categories)}–{MAX_ID}, or leave it out",
        )
    for other, rival in blocks:
        if other < index and rival.get("id") == given and earthsynth().find(rival["name"]) is None:
            yield Problem(("categories", index, "id"), f"taken by categories.{other} ({rival['name']}); choose another")


def _built_in(index: int, block: Mapping[str, Any], category: Category) -> Iterator[Problem]:
    if category.id == BACKGROUND:
        yield Problem(
            ("categories", index, "name"), "is what no class covers; for images without objects use `negatives`"
        )
        return
    for key in OWN_KEYS:
        value = block.get(key)
        if value is not None and not (key == "id" and value == category.id):
            yield Problem(
                ("categories", index, key),
                f"{category.name!r} is built in (id {category.id}); remove this key, or choose another name",
            )
    for key in ("instances", "size"):
        if not category.thing and block.get(key) is not None:
            yield Problem(
                ("categories", index, key), f"{category.name!r} is land cover and has no objects; remove this key"
            )


def _context(index: int, block: Mapping[str, Any], known: Taxonomy) -> Iterator[Problem]:
    context = block.get("context")
    for position, name in enumerate(context if isinstance(context, list | tuple) else ()):
        if isinstance(name, str) and known.find(name) is None:
            yield Problem(("categories", index, "context", position), unknown_category(known, name))


def unknown_category(taxonomy: Taxonomy, name: str) -> str:
    """What to tell someone who wrote a class name that does not exist."""
    try:
        taxonomy.named(name)
    except InputError as error:
        return str(error)
    raise ValueError(f"{name!r} is known")


def _splits(data: Mapping[str, Any]) -> Iterator[Problem]:
    shares = data.get("splits")
    if not isinstance(shares, Mapping) or not shares:
        return
    numbers = [share for share in shares.values() if isinstance(share, int | float)]
    total = math.fsum(numbers)
    if len(numbers) == len(shares) and abs(total - 1) > 1e-6:
        yield Problem(("splits",), f"the shares sum to {total:g}, not to 1; change one by {1 - total:+g}")


def _total(data: Mapping[str, Any]) -> Iterator[Problem]:
    blocks = data.get("categories")
    if not isinstance(blocks, list | tuple) or not all(isinstance(block, Mapping) for block in blocks):
        return
    counts = [*(block.get("count") for block in blocks), data.get("negatives", 0)]
    if not all(isinstance(count, int) for count in counts):
        return
    if sum(counts) == 0:
        yield Problem(("categories",), "no image is asked for; give a class a `count`, or ask for `negatives`")
    if sum(counts) > MAX_IMAGES:
        yield Problem(("categories",), f"{sum(counts)} images are asked for; one recipe makes up to {MAX_IMAGES}")


def _sources(data: Mapping[str, Any]) -> Iterator[Problem]:
    if data.get("conditions") in ([], ()):
        yield Problem(("conditions",), "masks must come from somewhere; `- kind: procedural` needs no data")


def _attempts(data: Mapping[str, Any]) -> Iterator[Problem]:
    block = data.get("rfilter")
    if not isinstance(block, Mapping):
        return
    candidates, attempts = block.get("candidates"), block.get("max_attempts")
    if isinstance(candidates, int) and isinstance(attempts, int) and candidates > attempts:
        yield Problem(
            ("rfilter", "candidates"), f"does not fit in max_attempts, which is {attempts}; raise that or lower this"
        )


def _repeated(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Rules and exports are recorded by their kind, so that one recipe has each at most once."""
    rfilter = data.get("rfilter")
    rules = rfilter.get("rules") if isinstance(rfilter, Mapping) else None
    for path, blocks in ((("rfilter", "rules"), rules), (("exports",), data.get("exports"))):
        kinds = [_kind(block) for block in blocks] if isinstance(blocks, list | tuple) else []
        for index, kind in enumerate(kinds):
            if kind is not None and Counter(kinds[:index])[kind]:
                yield Problem((*path, index), f"`{kind}` is given twice; keep one of them")


def _exported(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Names under `classes` of an export that are no category."""
    if "categories" not in data:  # blocks of the command line, if the dataset knows its classes
        return
    known, exports = _known(_named_blocks(data)), data.get("exports")
    for index, block in enumerate(exports if isinstance(exports, list | tuple) else ()):
        names = block.get("classes") if isinstance(block, Mapping) else None
        for position, name in enumerate(names if isinstance(names, list | tuple) else ()):
            if isinstance(name, str) and known.find(name) is None:
                yield Problem(("exports", index, "classes", position), unknown_category(known, name))


def _paired(data: Mapping[str, Any]) -> Iterator[Problem]:
    """A class under `counterfactual` that is no category, or has no objects."""
    block, known = data.get("counterfactual"), _known(_named_blocks(data))
    name = block.get("instead") if isinstance(block, Mapping) else None
    if not isinstance(name, str):
        return
    category = known.find(name)
    if category is None:
        yield Problem(("counterfactual", "instead"), unknown_category(known, name))
    elif not category.thing:
        yield Problem(
            ("counterfactual", "instead"), f"{category.name!r} is land cover and has no objects; name a thing"
        )


def _offloaded(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Networks that are to wait in the machine's memory, on a device that has no other."""
    synthesis, engine = data.get("synthesis"), data.get("engine")
    device = engine.get("device") if isinstance(engine, Mapping) else None
    if isinstance(synthesis, Mapping) and synthesis.get("offload") is True and device in ("cpu", "mps"):
        yield Problem(
            ("synthesis", "offload"), f"is for a GPU, and engine.device is {device}; leave out one of the two"
        )


def _worded(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Names that are no category if classes are given words, or heights for a ControlNet that sees depth."""
    if "categories" not in data:
        return
    known, prompts, synthesis = _known(_named_blocks(data)), data.get("prompts"), data.get("synthesis")
    words = prompts.get("classes") if isinstance(prompts, Mapping) else None
    places: list[tuple[Path, Any]] = [(("prompts", "classes"), words)]
    controls = synthesis.get("controls") if isinstance(synthesis, Mapping) else None
    for index, control in enumerate(controls if isinstance(controls, list | tuple) else ()):
        heights = control.get("heights") if isinstance(control, Mapping) else None
        places.append((("synthesis", "controls", index, "heights"), heights))
    for path, named in places:
        for name in named if isinstance(named, Mapping) else ():
            if isinstance(name, str) and known.find(name) is None:
                yield Problem((*path, name), unknown_category(known, name))


def _kind(block: Any) -> str | None:
    kind = block.get("kind") if isinstance(block, Mapping) else block
    return kind if isinstance(kind, str) else None
