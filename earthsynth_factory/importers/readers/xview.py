"""xView: `xView_train.geojson` with upright boxes in pixels of `train_images/*.tif`."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.importers.finder import ImageFinder
from earthsynth_factory.importers.json_pieces import pieces
from earthsynth_factory.importers.readers.boxes import Drawn, filled
from earthsynth_factory.importers.scene import (
    DatasetInfo,
    Evidence,
    ReadContext,
    Reader,
    ReadRequest,
    Scene,
    SceneLabels,
    Source,
    Strength,
)
from earthsynth_factory.importers.tree import Tree
from earthsynth_factory.importers.words_of_layout import prefixed, safe_stem, split_of, split_word

INFO = DatasetInfo(
    name="xView",
    source="Lam et al., 2018; WorldView-3 imagery of Maxar",
    licence="CC BY-NC-SA 4.0",
    credit="xView, Defense Innovation Unit",
    dense=False,
)

METRES_PER_PIXEL = 0.3

_TYPES = """11 Fixed-wing Aircraft|12 Small Aircraft|13 Cargo Plane|15 Helicopter|17 Passenger Vehicle|18 Small Car|19 Bus
20 Pickup Truck|21 Utility Truck|23 Truck|24 Cargo Truck|25 Truck with Box|26 Truck Tractor|27 Trailer|28 Truck with Flatbed
29 Truck with Liquid|32 Crane Truck|33 Railway Vehicle|34 Passenger Car|35 Cargo Car|36 Flat Car|37 Tank Car|38 Locomotive
40 Maritime Vessel|41 Motorboat|42 Sailboat|44 Tugboat|45 Barge|47 Fishing Vessel|49 Ferry|50 Yacht|51 Container Ship
52 Oil Tanker|53 Engineering Vehicle|54 Tower Crane|55 Container Crane|56 Reach Stacker|57 Straddle Carrier|59 Mobile Crane
60 Dump Truck|61 Haul Truck|62 Scraper|63 Front Loader|64 Excavator|65 Cement Mixer|66 Ground Grader|71 Hut|72 Shed
73 Building|74 Aircraft Hangar|76 Damaged Building|77 Facility|79 Construction Site|83 Vehicle Lot|84 Helipad|86 Storage Tank
89 Shipping Container Lot|91 Shipping Container|93 Pylon|94 Tower"""

WORDS = {int(number): word for number, _, word in (one.partition(" ") for one in _TYPES.replace("\n", "|").split("|"))}
"""Its 60 classes by number."""

USUAL = {
    "Fixed-wing Aircraft": "plane",
    "Small Aircraft": "plane",
    "Cargo Plane": "plane",
    "Passenger Vehicle": "vehicle",
    "Pickup Truck": "large vehicle",
    "Utility Truck": "large vehicle",
    "Truck with Box": "large vehicle",
    "Truck with Flatbed": "large vehicle",
    "Truck with Liquid": "large vehicle",
    "Crane Truck": "large vehicle",
    "Haul Truck": "large vehicle",
    "Cement Mixer": "large vehicle",
    "Engineering Vehicle": "vehicle",
    "Maritime Vessel": "ship",
    "Sailboat": "ship",
    "Barge": "ship",
    "Fishing Vessel": "fishing boat",
    "Ferry": "passenger ship",
    "Yacht": "ship",
    "Container Ship": "dry cargo ship",
    "Oil Tanker": "liquid cargo ship",
    "Shed": "building",
    "Hut": "building",
    "Aircraft Hangar": "building",
    "Damaged Building": "building",
    "Facility": "building",
}
"""What its finer classes are kinds of; a map file that names one stands above this. The rest has no category."""


class XView(Reader):
    """Classes that have no category (pylons, lots …) are left out and counted, unless the map file names them."""

    kind = "xview"

    def recognise(self, request: ReadRequest) -> Evidence | None:
        tree = request.tree
        for file in _files(tree):
            return Evidence(Strength.OWN, f"{tree.relative(file)}: bounds_imcoords and type_id")
        return None

    def open(self, request: ReadRequest) -> Source:
        tree, finder = request.tree, ImageFinder(request.tree)
        words, scenes = Counter[str](), []
        for file in _files(tree):
            boxes: dict[str, list[tuple[str, tuple[float, ...]]]] = defaultdict(list)
            for piece in pieces(file, "features"):
                _take(piece.value, boxes, file, request)
            for name, found in boxes.items():
                image = finder.find(name, file.parent)
                if image is None:
                    request.notes.fault(file, f"image {name[:200]!r} is missing, or several have its name")
                    continue
                words.update(word for word, _ in found)
                stem = prefixed("xView_", safe_stem(image.stem))
                split = split_word(file.stem.lower().replace("xview", "")) or split_of(image, tree.root)
                scenes.append(Scene(stem, image, tuple(found), stem, split, METRES_PER_PIXEL, shared=(file,)))
        if not scenes:
            raise SourceError(f"{request.path}: no GeoJSON of xView (bounds_imcoords, type_id) with its images")
        return Source(INFO, words, scenes)

    def labels(self, scene: Scene, context: ReadContext) -> SceneLabels:
        drawn = (
            Drawn(word, Given.of_box(*box), f"{scene.image}, object {n}")
            for n, (word, box) in enumerate(scene.labels, 1)
        )
        return SceneLabels(objects=filled(drawn, context.size, context.notes))


def _files(tree: Tree) -> list[Path]:
    found = [tree.file] if tree.file else list(tree.files(".geojson", ".json"))
    return [file for file in found if _head_fits(file)]


def _head_fits(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1 << 14)
    except OSError:
        return False
    return b'"bounds_imcoords"' in head and b'"type_id"' in head


def _take(
    feature: dict[str, object], boxes: dict[str, list[tuple[str, tuple[float, ...]]]], file: Path, request: ReadRequest
) -> None:
    about = feature.get("properties")
    try:
        assert isinstance(about, dict)
        left, top, right, bottom = map(float, str(about["bounds_imcoords"]).split(","))
        word, name = WORDS.get(int(about["type_id"])), str(about["image_id"])
    except (AssertionError, KeyError, TypeError, ValueError):
        request.notes.fault(file, "a feature without bounds_imcoords, type_id and image_id")
        return
    known = None if word is None else request.classes.usual(word, USUAL.get(word, word))
    if known is None or request.classes.find(known) is None:
        request.notes.left_out[f"{word or about['type_id']}: no category for it"] += 1
        boxes.setdefault(name, [])
    else:
        boxes[name].append((known, (left, top, right - left, bottom - top)))
