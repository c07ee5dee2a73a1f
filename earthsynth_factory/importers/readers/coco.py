"""COCO: polygons, run lengths, crowds; annotations whose `segmentation` is empty become their box."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Box, Given, is_upright
from earthsynth_factory.importers.outlines import Patch, fill, read_rle, usable_rings
from earthsynth_factory.importers.readers.files import (
    ImageFinder,
    folders_named,
    listing,
    prefixed,
    read_json,
    safe_stem,
    split_of,
)
from earthsynth_factory.importers.scene import (
    Aid,
    DatasetInfo,
    Labels,
    Notes,
    Reader,
    Request,
    Scene,
    SceneObject,
    Source,
)

KEYS = {"images", "annotations", "categories"}


class Coco(Reader):
    """One JSON or a folder of them (`annotations/*.json`, or beside the images); images are found by path or name."""

    kind = "coco"

    def recognise(self, path: Path) -> str | None:
        for file in json_files(path):
            if looks_like_coco(file):
                return f"{file.name} has images, annotations and categories"
        return None

    def open(self, request: Request) -> Source:
        files = [file for file in json_files(request.path) if looks_like_coco(file)]
        if not files:
            raise SourceError(f"{request.path}: no JSON with images, annotations and categories")
        root = request.path if request.path.is_dir() else request.path.parent
        return read_files(files, root, _info(request.path), request.notes)

    def labels(self, scene: Scene, aid: Aid) -> Labels:
        return coco_labels(scene, aid.size, aid.notes)


def json_files(path: Path) -> list[Path]:
    """The JSON given, or those of a folder: at its top, in `annotations/`, or one level down beside a split's images."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    folders = {path, *folders_named(path, "annotations"), *(inner for inner in path.iterdir() if inner.is_dir())}
    return sorted({file for folder in folders for file in listing(folder, ".json")})


def looks_like_coco(path: Path) -> bool:
    """Whether the file's beginning or end names COCO's three lists with boxes or masks; nothing is parsed."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
        file.seek(max(0, path.stat().st_size - (1 << 16)))
        ends = head + file.read()
    named = sum(f'"{key}"'.encode() in ends for key in KEYS)
    return head.lstrip()[:1] == b"{" and (named >= 2 or (named == 1 and b'"file_name"' in ends))


def read_files(
    files: list[Path],
    root: Path,
    info: DatasetInfo,
    notes: Notes,
    segments: Mapping[int, Any] | None = None,
    prefix: str = "",
) -> Source:
    """Scenes of several COCO files. segments: annotation id → run lengths that stand in for a box alone."""
    finder, words, scenes = ImageFinder(root), Counter[str](), []
    for file in files:
        document = _document(file)
        names = _names(document, file, notes)
        objects = _objects_by_image(document, names, file, notes, segments or {})
        words.update(dict.fromkeys(names.values(), 0))
        for entries in objects.values():
            words.update(entry["word"] for entry in entries)
        for image in _images(document, file, notes):
            path = finder.find(image["file_name"], file.parent, split_of(file, root))
            if path is None:
                notes.fault(
                    file, f"image {image['file_name']!r} (id {image['id']}) is missing, or several have its name"
                )
                continue
            split = split_of(file, root) or split_of(path, root)
            scenes.append(_scene(prefix, path, image, tuple(objects.get(image["id"], ())), split))
    return Source(info, words, scenes)


def coco_labels(scene: Scene, size: tuple[int, int], notes: Notes) -> Labels:
    """The objects of a scene made by `read_files`."""
    found = []
    for entry in scene.labels[1]:
        try:
            patch, given = _shape(entry, size, notes)
        except (ValueError, TypeError) as error:
            notes.fault(f"{scene.image}, annotation {entry['id']}", str(error))
            continue
        if patch is None:
            notes.left_out["object outside its image"] += 1
        else:
            flags = {"crowd": entry["crowd"], "difficult": entry["difficult"]}
            found.append(SceneObject(entry["word"], *patch, **flags, given=given))
    return Labels(objects=tuple(found))


def _shape(entry: dict[str, Any], size: tuple[int, int], notes: Notes) -> tuple[Patch | None, Given | None]:
    """Pixels, and what was drawn. Run lengths are the truth where they are given, then polygons, then the box."""
    segmentation, box = entry["segmentation"], _box(entry["bbox"])
    if isinstance(segmentation, dict):
        return read_rle(segmentation, size), Given.of_box(*box, masked=True) if box else None
    given = _drawn(segmentation, box, notes)
    return fill(given, size), given


def _drawn(segmentation: Any, box: Box | None, notes: Notes) -> Given:
    """The polygons of a list of rings, or of one ring that stands there alone; the box where no ring has an area."""
    rings = segmentation if isinstance(segmentation, list) else []
    if rings and not isinstance(rings[0], list):
        rings = [rings]
    try:
        usable = usable_rings(rings)
    except ValueError:
        if box is None:
            raise
        notes.remarks["outlines without an area, the box taken for them"] += any(rings)
        return Given.of_box(*box)
    notes.remarks["outlines with a part of fewer than three corners, which is passed over"] += len(usable) < len(rings)
    if box and len(usable) == 1 and is_upright(usable[0], box):
        return Given.of_box(*box)
    return Given.of_polygons(usable, box)


def _box(value: Any) -> Box | None:
    """left, top, width, height, where four such numbers with an extent stand there."""
    if not isinstance(value, list) or len(value) != 4 or not all(isinstance(number, int | float) for number in value):
        return None
    left, top, width, height = map(float, value)
    return (left, top, width, height) if all(map(isfinite, value)) and width > 0 and height > 0 else None


def _scene(prefix: str, path: Path, image: dict[str, Any], entries: tuple[Any, ...], split: str | None) -> Scene:
    height, width = image.get("height"), image.get("width")
    listed = (int(height), int(width)) if isinstance(height, int) and isinstance(width, int) else None
    stem = prefixed(prefix, safe_stem(Path(image["file_name"]).stem))
    # Augmented copies of one picture, as a well-known annotation service names them, belong together.
    return Scene(stem, path, (listed, entries), re.split(r"\.rf\.", stem)[0], split, size=listed)


def _document(path: Path) -> dict[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict) or not all(isinstance(document.get(key), list) for key in KEYS):
        raise SourceError(f"{path}: not COCO: it needs the lists images, annotations and categories")
    return document


def _names(document: dict[str, Any], path: Path, notes: Notes) -> dict[Any, str]:
    names = {}
    for number, entry in enumerate(document["categories"]):
        if isinstance(entry, dict) and isinstance(entry.get("id"), int) and isinstance(entry.get("name"), str):
            names[entry["id"]] = entry["name"]
        else:
            notes.fault(path, f"categories[{number}] has no id and name")
    return names


def _images(document: dict[str, Any], path: Path, notes: Notes) -> Iterator[dict[str, Any]]:
    for number, entry in enumerate(document["images"]):
        if (
            isinstance(entry, dict)
            and isinstance(entry.get("file_name"), str)
            and isinstance(entry.get("id"), int | str)
        ):
            yield entry
        else:
            notes.fault(path, f"images[{number}] has no id and file_name")


def _objects_by_image(
    document: dict[str, Any], names: dict[Any, str], path: Path, notes: Notes, segments: Mapping[int, Any]
) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for number, entry in enumerate(document["annotations"]):
        if not isinstance(entry, dict) or entry.get("category_id") not in names or "image_id" not in entry:
            notes.fault(path, f"annotations[{number}] has no image_id, or a category_id that is not listed")
            continue
        identity = entry.get("id")
        found[entry["image_id"]].append(
            {
                "id": identity if isinstance(identity, int) else None,
                "word": names[entry["category_id"]],
                "segmentation": entry.get("segmentation") or segments.get(identity),  # type: ignore[arg-type]
                "bbox": entry.get("bbox"),
                "crowd": bool(entry.get("iscrowd")),
                "difficult": bool(entry.get("difficult")),  # not COCO's own; our writer has it
            }
        )
    return found


def _info(path: Path) -> DatasetInfo:
    return DatasetInfo(path.stem, f"COCO annotations, {path.name}", "unknown", "", dense=False)
