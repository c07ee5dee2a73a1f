"""`train.jsonl`: a line for every image and one for each of its categories, as EarthSynth publishes and `prepare` writes it.

whole: {file_name, mask_name, text, category_masks: […]}; single category: {file_name, mask_name, text}. Keys and folders are
those of EarthSynth's public repository. Paths are relative to the folder that holds the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from earthsynth_factory.datasets.build.records import parsed
from earthsynth_factory.datasets.prepared.layout import (
    CATEGORY_MASKS,
    LIST,
    PreparedLayout,
    category_image,
    category_mask,
    whole_image,
    whole_mask,
)
from earthsynth_factory.domain.taxonomy import EARTHSYNTH_TEMPLATE, Taxonomy
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.compact import FileSet
from earthsynth_factory.io.jsonl import unmarked

MAX_TEXT = 2000
"""Longest prompt in characters."""


@dataclass(frozen=True, slots=True)
class TrainLine:
    """A line whose files are there. place: `train.jsonl:12`. scene: stem of the whole sample it belongs to."""

    place: str
    image: Path
    mask: Path
    text: str
    scene: str
    whole: bool


def read_train_list(root: Path) -> tuple[list[TrainLine], list[str]]:
    """The usable lines of ROOT/train.jsonl, and a fault for each thing wrong with the others.

    Raises SourceError if there is no list at all.
    """
    path = PreparedLayout(root).train
    if not path.is_file():
        raise SourceError(f"{path}: no such file; `earthsynth-factory prepare` writes it")
    faults: list[str] = []
    lines: list[tuple[str, dict[str, Any]]] = []
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            place = f"{LIST}:{number}"
            if raw.strip():
                line = _parse(raw, place, faults)
                if line is not None:
                    lines.append((place, line))
    scenes = _scenes(lines)
    found = [_train_line(root, place, line, scenes, faults) for place, line in lines]
    if not lines and not faults:
        faults.append(f"{LIST}: the file is empty; prepare the dataset again")
    return [record for record in found if record is not None], faults


def _parse(raw: bytes, place: str, faults: list[str]) -> dict[str, Any] | None:
    """The line as an object whose three texts are there, else None and a fault."""
    try:
        line = orjson.loads(unmarked(raw))
    except orjson.JSONDecodeError as error:
        faults.append(f"{place}: no JSON ({error}); write the line again")
        return None
    if not isinstance(line, dict):
        faults.append(f"{place}: not an object; expected {{file_name, mask_name, text}}")
        return None
    wrong = [key for key in ("file_name", "mask_name", "text") if not isinstance(line.get(key), str) or not line[key]]
    faults += [f"{place}: {key} is missing or no text; add it" for key in wrong]
    if len(str(line.get("text"))) > MAX_TEXT:
        faults.append(f"{place}: text has {len(line['text'])} characters, more than {MAX_TEXT}; shorten it")
        return None
    return None if wrong else line


def _scenes(lines: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """File name of a single-category mask → stem of the whole sample that lists it."""
    listed = ((line, line.get("category_masks")) for _, line in lines)
    return {
        PurePosixPath(str(name)).name: PurePosixPath(line["mask_name"]).stem
        for line, masks in listed
        if isinstance(masks, list)
        for name in masks
    }


def _train_line(
    root: Path, place: str, line: dict[str, Any], scenes: dict[str, str], faults: list[str]
) -> TrainLine | None:
    paths: list[Path] = []
    for key in ("file_name", "mask_name"):
        path = resolve(root, line[key])
        if path is None:
            faults.append(f"{place}: {key} {line[key]!r}: no such file inside {root}; fetch it, or drop the line")
        else:
            paths.append(path)
    if len(paths) < 2:
        return None
    mask = PurePosixPath(line["mask_name"])
    whole = "category_masks" in line or (mask.name not in scenes and mask.parent.name != CATEGORY_MASKS)
    return TrainLine(place, paths[0], paths[1], line["text"], scenes.get(mask.name, mask.stem), whole)


def resolve(root: Path, name: str) -> Path | None:
    """The file that a line names: from the list's folder, else by its last two parts in it; never outside of it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    inside = root.resolve()
    for tail in (parts, parts[-2:]):
        path = root.joinpath(*tail)
        try:
            if ".." not in tail and path.is_file() and path.resolve().is_relative_to(inside):
                return path
        except (OSError, ValueError):
            continue
    return None


def training_lines(
    stem: str, image_name: str, categories: Iterable[int], taxonomy: Taxonomy, augmented: bool
) -> list[dict[str, Any]]:
    """The lines of train.jsonl for one image: the whole one, then with augmentation one for each category.

    categories: ids present, ascending, without background; none gives no line, as in EarthSynth's own list.
    """
    names = [taxonomy[category].name for category in categories]
    if not names:
        return []
    suffix = Path(image_name).suffix
    singles = [
        {
            "file_name": category_image(stem, name, suffix),
            "mask_name": category_mask(stem, name),
            "text": EARTHSYNTH_TEMPLATE.format(classes=name),
        }
        for name in (names if augmented else [])
    ]
    whole = {
        "file_name": whole_image(image_name),
        "mask_name": whole_mask(stem),
        "text": EARTHSYNTH_TEMPLATE.format(classes=", ".join(names)),
        "category_masks": [single["mask_name"] for single in singles],
    }
    return [whole, *singles]


def add_category_files(folder: Path, leaving: FileSet) -> None:
    """Add category masks and images of the images that leave, as the list in `folder` has them, if there is one."""
    masks = FileSet()
    for line in _plain_lines(folder):
        if folder / line.file_name in leaving:
            for mask in line.category_masks:
                masks.add(folder / mask)
                leaving.add(folder / mask)
    for line in _plain_lines(folder) if len(masks) else ():
        if folder / line.mask_name in masks:
            leaving.add(folder / line.file_name)


@dataclass(frozen=True)
class _PlainLine:
    file_name: str
    mask_name: str
    category_masks: tuple[str, ...] = ()


def _plain_lines(folder: Path) -> Iterator[_PlainLine]:
    """The lines that are of that kind."""
    with suppress(OSError), PreparedLayout(folder).train.open("rb") as lines:
        for text in lines:
            with suppress(ValueError):
                yield parsed(unmarked(text), _PlainLine)
