"""`categories: {file: class.txt, per_mask: 5}`: a class a line, and five images of each for every mask that there is.

The list is written out before the recipe is checked, so that all that follows sees plain categories; each stands where its
line in the file is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earthsynth_factory.datasets.prepared.masks import find_masks
from earthsynth_factory.errors import InputError
from earthsynth_factory.io.mirror import located
from earthsynth_factory.recipe.document import Document, Place, shown

MAX_BYTES = 1 << 20
KEYS = ("file", "per_mask", "count")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A file with a class a line; `per_mask` images of each for every mask of the first source, or `count`.",
    "properties": {
        "file": {"type": "string"},
        "per_mask": {"type": "integer", "minimum": 1},
        "count": {"type": "integer", "minimum": 1},
    },
    "required": ["file"],
    "additionalProperties": False,
}


def write_out(document: Document, base: Path) -> None:
    """Put a list of categories in place of the block that names a file. base: where relative paths start.

    What is wrong with the block becomes a fault of the document; a recipe without such a block stays as it is.
    """
    block = document.data.get("categories") if isinstance(document.data, dict) else None
    if not isinstance(block, dict) or not isinstance(block.get("file"), str):
        return
    for key in [key for key in block if key not in KEYS]:
        document.fault(("categories", key), f"unknown key; known here: {', '.join(KEYS)}", of_key=True)
    path = base / Path(block["file"]).expanduser()
    names, count = _names(document, path), _count(document, block, base)
    document.data["categories"] = [{"name": name, "count": count} for _, name in names]
    for place, (line, _) in enumerate(names):
        where = Place(f"{path}:{line}:1", (line, 0))
        for inner in ((), ("name",), ("count",)):
            document.values["categories", place, *inner] = where


def _names(document: Document, path: Path) -> list[tuple[int, str]]:
    """(line, class) of every line that says something."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        document.fault(("categories", "file"), f"{path}: cannot be read ({said}); it has a class a line")
        document.unread.add(("categories",))
        return []
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def _count(document: Document, block: dict[str, Any], base: Path) -> Any:
    """Images of each class."""
    if "per_mask" not in block:
        return block.get("count", 1)
    per_mask = block["per_mask"]
    if not isinstance(per_mask, int) or isinstance(per_mask, bool) or "count" in block:
        document.fault(("categories", "per_mask"), "write a whole number, and no `count` beside it", shown(per_mask))
        return 1
    return per_mask * max(1, _masks(document, base))


def _masks(document: Document, base: Path) -> int:
    """Masks of the first source that has a path; 0 if there is none, which is said when the sources are looked at."""
    sources = document.data.get("conditions")
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict) and isinstance(source.get("path"), str):
            try:
                return len(find_masks(located(base, source["path"])).entries)
            except InputError:
                return 0
    return 0
