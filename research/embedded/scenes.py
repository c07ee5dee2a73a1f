"""The scenes that the generator learns from, in one small file: WebP images and PNG masks inside a safetensors container.

Small enough to carry to a GPU; there thousands of crops at many scales are cut from each scene. Scenes that label objects
alone are cut to these objects' surroundings and get a second mask, in which a guess by colour (`surfaces`) fills the
background: so an object is also seen on labelled ground.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from earthsynth_factory.datasets.prepared.reader import PreparedDataset
from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.png import encode_png
from research.embedded.crops import Boxes, Mask, Scene, load_scene
from research.embedded.surfaces import surfaces

Scenes = dict[str, list[Scene]]
"""Source → its scenes."""

AROUND = 1.2
"""Surroundings that are kept on each side of an object, in multiples of its longest side."""

LEAST_AROUND = 90
_PARTS = ("images", "masks")


def read_scenes(folder: Path, split: str, share: float, shrink: float) -> Iterator[Scene]:
    """A prepared dataset's scenes of one split, evenly thinned to `share`, their sides times `shrink`."""
    dataset = PreparedDataset(folder)
    stems = [stem for stem, item in dataset.about.items.items() if item.split == split]
    for place in np.unique(np.linspace(0, len(stems) - 1, max(1, round(share * len(stems)))).astype(int)):
        scene = load_scene(dataset, stems[place])
        if not scene.dense:
            scene = around_objects(scene)
        scene = shrunk(scene, shrink)
        yield scene if scene.dense else filled(scene)


def around_objects(scene: Scene) -> Scene:
    """The scene cut to the rectangle that holds all objects and their surroundings; as it is if it has no objects."""
    if not len(scene.boxes):
        return scene
    top, left, bottom, right = scene.boxes[:, 1:].T
    margin = np.maximum(AROUND * np.maximum(bottom - top, right - left), LEAST_AROUND)
    y, x = (max(0, int((edge - margin).min())) for edge in (top, left))
    end = [min(side, int((edge + margin).max())) for side, edge in zip(scene.mask.shape, (bottom, right), strict=True)]
    place = np.s_[y : end[0], x : end[1]]
    boxes = scene.boxes - np.array([0, y, x, y, x])
    return Scene(scene.image[place], scene.mask[place], boxes, scene.metres_per_pixel, scene.dense)


def shrunk(scene: Scene, factor: float) -> Scene:
    """The scene with its sides times `factor` (1: as it is)."""
    if factor == 1:
        return scene
    height, width = (max(1, round(side * factor)) for side in scene.mask.shape)
    image = cv2.resize(scene.image, (width, height), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(scene.mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    boxes = scene.boxes.copy()
    boxes[:, 1:3], boxes[:, 3:] = np.floor(boxes[:, 1:3] * factor), np.ceil(boxes[:, 3:] * factor)
    return Scene(image.astype(np.uint8), mask.astype(np.uint8), boxes, scene.metres_per_pixel / factor, scene.dense)


def filled(scene: Scene) -> Scene:
    """The scene with a second mask: where the first says nothing, what the ground looks like."""
    full = np.where(scene.mask == 0, surfaces(scene.image, scene.mask), scene.mask)
    return Scene(scene.image, scene.mask, scene.boxes, scene.metres_per_pixel, False, full)


def pack_scenes(scenes: Mapping[str, Sequence[Scene]], path: Path, quality: int) -> int:
    """Writes scenes by source and gives the file's size in bytes. Images lose what WebP at `quality` loses; masks nothing."""
    flat = [(source, scene) for source, part in scenes.items() for scene in part]
    images, masks = [], []
    for _, scene in flat:
        images.append(cv2.imencode(".webp", scene.image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])[1].ravel())
        stacked = np.concatenate([scene.mask] if scene.filled is None else [scene.mask, scene.filled])
        masks.append(np.frombuffer(encode_png(stacked), np.uint8))
    data = {
        "boxes": np.concatenate([scene.boxes for _, scene in flat]),
        "box_ends": np.cumsum([len(scene.boxes) for _, scene in flat]),
        "metres_per_pixel": np.array([scene.metres_per_pixel for _, scene in flat]),
        "dense": np.array([scene.dense for _, scene in flat]),
        "sources": np.frombuffer("\n".join(source for source, _ in flat).encode(), np.uint8),
    }
    for name, parts in zip(_PARTS, (images, masks), strict=True):
        data |= {name: np.concatenate(parts), f"{name}_ends": np.cumsum([len(one) for one in parts])}
    whole = save(data)
    write_bytes(path, whole)
    return len(whole)


def unpack_scenes(path: Path) -> Scenes:
    """The inverse of `pack_scenes`. Raises `SourceError` if the file is missing or not one of ours."""
    try:
        stored = load_file(path)
        sources = stored["sources"].tobytes().decode().split("\n")
        images, masks = (_split(stored, name) for name in _PARTS)
        boxes = np.split(stored["boxes"], stored["box_ends"][:-1])
        facts = zip(images, masks, boxes, stored["metres_per_pixel"].tolist(), stored["dense"].tolist(), strict=True)
        with ThreadPoolExecutor() as pool:
            decoded = list(pool.map(lambda parts: _decoded(*parts), facts))
    except (OSError, SafetensorError, KeyError, UnicodeDecodeError, cv2.error, ValueError) as error:
        raise SourceError(
            f"{path}: not a file of scenes ({error}); make it again from the prepared datasets"
        ) from error
    scenes: Scenes = {}
    for source, scene in zip(sources, decoded, strict=True):
        scenes.setdefault(source, []).append(scene)
    return scenes


def _split(stored: Mapping[str, npt.NDArray[np.uint8]], name: str) -> list[npt.NDArray[np.uint8]]:
    return np.split(stored[name], stored[f"{name}_ends"][:-1])


def _decoded(image: Mask, mask: Mask, boxes: Boxes, metres_per_pixel: float, dense: bool) -> Scene:
    pixels, labels = cv2.imdecode(image, cv2.IMREAD_COLOR), cv2.imdecode(mask, cv2.IMREAD_UNCHANGED)
    if pixels is None or labels is None:
        raise ValueError("a damaged image")
    height = pixels.shape[0]
    second = labels[height:].astype(np.uint8) if len(labels) == 2 * height else None
    rgb = np.ascontiguousarray(pixels[..., ::-1]).astype(np.uint8)
    return Scene(rgb, labels[:height].astype(np.uint8), boxes, metres_per_pixel, dense, second)
