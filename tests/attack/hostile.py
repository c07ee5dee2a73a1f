"""A stranger's folders, files and archives that are made to get out, to get in, or to take all memory."""

from __future__ import annotations

import json
import shutil
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio

from tests.attack.inputs import Inputs
from tests.attack.outcome import Outcome
from tests.attack.running import Ended, limit_memory, run
from tests.importers import layouts

MINE = "mine\n"
MEMORY = 1 << 30
"""Bytes that a command may take beyond what its libraries took before it began."""
FORMATS = (
    "coco", "coco-panoptic", "semantic", "yolo-detect", "yolo-segment", "yolo-obb", "dota", "voc", "odvg", "gsnet",
    "earthsynth", "imagefolder", "webdataset", "prepared",
)  # fmt: skip

Attack = tuple[str, str | None]
"""What was tried, and what went wrong."""


class Home:
    """A user's folder: a file of theirs, a secret, a working folder with the stranger's data in it."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.root, self.work, self.log = folder / "home", folder / "home/work", folder / "log.txt"
        self.work.mkdir(parents=True)
        (self.root / "profile").write_text(MINE)
        (self.root / "secret").write_text("PRIVATE-KEY-OF-MINE")

    def fault(self, ended: Ended, *outs: Path) -> str | None:
        """A bad end, a file of the user's that changed, a new one beside the working folder, a secret let out."""
        if fault := ended.fault():
            return fault
        if (self.root / "profile").read_text() != MINE:
            return "a file of the user's was overwritten"
        strange = [path.name for path in self.root.iterdir() if path.name not in ("profile", "secret", "work")]
        if strange:
            return f"wrote outside: {strange}"
        for path in (found for out in outs for found in out.rglob("*") if found.is_file() or found.is_symlink()):
            if path.is_symlink() or b"PRIVATE-KEY-OF-MINE" in path.read_bytes():
                return f"let the secret out: {path.name}"
        return None


def names(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Items, splits, images and groups of a prepared dataset whose names are paths."""
    del inputs
    for stem in (
        "../../profile",
        "../../../home/profile",
        "/etc/x",
        "..",
        "a/b",
        "a\\..\\..\\b",
        "x\0y",
        "C:\\x",
        "a" * 300,
    ):
        for format_ in FORMATS[::3] if stem != "../../profile" else FORMATS:
            home = Home(folder)
            plain_dataset(home.work / "data", item=stem if stem != "/etc/x" else str(home.root / "profile"))
            ended = run(["export", home.work / "data", "-f", format_, "-o", home.work / "out"], home.log)
            yield f"item {stem[:20]!r}, {format_}", home.fault(ended, home.work / "out")
    for key, value in (
        ("split", "../../evil"),
        ("split", "/tmp/evil"),
        ("image", "../../secret"),
        ("image", "payload"),
    ):
        home = Home(folder)
        plain_dataset(home.work / "data", **{key: value})
        for words in (
            ["export", "DATA", "-f", "coco,voc", "-o", "OUT"],
            ["split", "DATA", "--ratios", "0.5,0.5", "-o", "OUT"],
        ):
            placed = [{"DATA": home.work / "data", "OUT": home.work / "out"}.get(word, word) for word in words]
            yield f"{key} {value!r}, {words[0]}", home.fault(run(placed, home.log), home.work / "out")


def plain_dataset(root: Path, item: str = "b", split: str = "train", image: str = "b.png") -> None:
    for name in ("images", "masks", "instances"):
        (root / name).mkdir(parents=True)
    (root / "images/payload").write_text("echo from a stranger\n")
    for stem in ("a", "b"):
        cv2.imwrite(str(root / f"images/{stem}.png"), np.full((32, 32, 3), 90, np.uint8))
        cv2.imwrite(str(root / f"masks/{stem}.png"), np.ones((32, 32), np.uint8))
    items = {
        "a": {"group": "a", "split": "train", "size": [32, 32], "categories": [1], "image": "a.png"},
        item: {"group": "b", "split": split, "size": [32, 32], "categories": [1], "image": image},
    }
    about = {"format": "earthsynth-factory/dataset", "version": 1, "name": "nice", "classes": {"1": "bare land"}}
    (root / "dataset.json").write_text(json.dumps({**about, "items": items}))
    lines = [{"stem": stem, "size": [32, 32], "instances": []} for stem in ("a", item)]
    (root / "instances.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def links(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """A stranger's build whose files and folders are links: nothing is read through them, nothing written."""
    places: list[tuple[str, str, list[object]]] = [
        ("report", "../..", ["report", "IN"]),
        ("report/index.html", "../../profile", ["report", "IN"]),
        ("report", "../..", ["stats", "IN"]),
        ("report", "../..", ["preview", "IN"]),
        ("exports", "../..", ["export", "IN", "-f", "coco"]),
        ("exports/coco", "../../..", ["export", "IN", "-f", "coco"]),
        ("run.json", "../../profile", ["status", "IN"]),
        ("sessions.jsonl", "../../profile", ["build", inputs.recipe, "--out", "IN"]),
        ("shards/00001/samples.jsonl", "../../../../profile", ["build", inputs.recipe, "--out", "IN"]),
        ("shards/00001/images", "../../../..", ["build", inputs.recipe, "--out", "IN"]),
        ("shards/00001", "../../..", ["build", inputs.recipe, "--out", "IN"]),
        (".lock", "../profile", ["build", inputs.recipe, "--out", "IN"]),
        (".earthsynth-factory.json", "../profile", ["build", inputs.recipe, "--out", "IN"]),
        ("shards/00000/images/0000000.png", "../../../../../secret", ["export", "IN", "-f", "coco", "-o", "OUT", "--images", "copy"]),
        ("shards/00000/images/0000000.png", "../../../../../secret", ["export", "IN", "-f", "webdataset", "-o", "OUT"]),
        ("shards/00000/images/0000000.png", "../../../../../secret", ["export", "IN", "-f", "coco", "-o", "OUT"]),
        ("shards/00000/images/0000000.png", "../../../../../secret", ["split", "IN", "--ratios", "0.5,0.5", "-o", "OUT"]),
        ("shards/00000/images/0000000.png", "../../../../../secret", ["filter", "IN", "--out", "OUT", "--config", inputs.filter, "--apply", "copy"]),
        ("shards/00000/masks/0000000.png", "../../../../../secret", ["export", "IN", "-f", "semantic", "-o", "OUT"]),
    ]  # fmt: skip
    for place, target, words in places:
        home = Home(folder)
        source = home.work / "in"
        shutil.copytree(inputs.build, source)
        path = source / place
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        if "shards/00001" in place or place == "sessions.jsonl":
            (source / "shards/00001.json").unlink()
        placed = [{"IN": source, "OUT": home.work / "out"}.get(str(word), word) for word in words]
        yield f"{place} → {target}, {words[0]}", home.fault(run(placed, home.log), home.work / "out")


def archives(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Zips whose entries climb out, are links, bombs, doubled, or not called what they say."""
    del inputs
    png = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    entries: dict[str, bytes] = {
        "../../../profile": b"x", "/tmp/evil.png": png, "train/images/../../../../../profile.png": png,
        "train\\..\\..\\x.png": png, "C:/x/train/images/a.png": png, "train/images/" + "a" * 300 + ".png": png,
        "train/images/a\n.png": png, "train/images/q.png/images/r.png": png, "train/images/bomb.png": b"\0" * (200 << 20),
    }  # fmt: skip
    for name, data in entries.items():
        home = Home(folder)
        layouts.ALL["earthsynth-180k"](home.work / "plain")
        source = home.work / "in"
        source.mkdir()
        with zipfile.ZipFile(source / "train.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted((home.work / "plain").rglob("*.png")):
                archive.write(path, path.relative_to(home.work / "plain"))
            archive.writestr("train/images/q.png", png)
            archive.writestr(name, data)
            link = zipfile.ZipInfo("train/images/link.png")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "../../../../secret")
        ended = run(["prepare", source, "--out", home.work / "out", "--workers", 1], home.log)
        yield f"zip entry {name[:40]!r}", home.fault(ended, home.work / "out")


def bombs(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Small files that ask for gigabytes or minutes, under a limit of memory."""
    for title, make, words in _bombs(inputs):
        home = Home(folder)
        source = home.work / "in"
        make(source)
        placed = [{"IN": source, "OUT": home.work / "out"}.get(str(word), word) for word in words]
        placed = [str(word).replace("IN/", f"{source}/") for word in placed]
        began = time.monotonic()
        ended = run(placed, home.log, before=limited, seconds=90)
        fault = home.fault(ended, home.work / "out")
        slow = None if time.monotonic() - began < 60 else f"took {time.monotonic() - began:.0f} s"
        short = "ran out of memory" if "not enough memory" in ended.text else None
        yield title, fault or short or slow


def limited() -> None:
    limit_memory(MEMORY)


Bomb = tuple[str, Callable[[Path], object], list[object]]


def _bombs(inputs: Inputs) -> Iterator[Bomb]:
    prepare: list[object] = ["prepare", "IN", "--out", "OUT", "--workers", 1]
    aliases = "".join(
        f"{chr(97 + i)}: &{chr(97 + i)} [{','.join(['x' if not i else '*' + chr(96 + i)] * 10)}]\n" for i in range(9)
    )
    yield (
        "YOLO data.yaml, aliases of aliases",
        _with(layouts.ALL["yolo"], "data.yaml", f"{aliases}names: [{'*i,' * 10}]\n"),
        prepare,
    )
    yield (
        "YOLO data.yaml, 20,000 deep",
        _with(layouts.ALL["yolo"], "data.yaml", f"names: {'[' * 20000}{']' * 20000}\n"),
        prepare,
    )
    yield (
        "--map, aliases of aliases",
        _with(layouts.ALL["masks"], "map.yaml", f"{aliases}j: [{'*i,' * 10}]\n"),
        [*prepare, "--map", "IN/map.yaml"],
    )
    for size in (0x0FFFFFFF, 0x7FFFFFFF):
        yield f"pickle, place {size:#x}", _pickle(b"\x80\x02Nr" + struct.pack("<I", size) + b"."), prepare
    yield "pickle, a text of 2 GB", _pickle(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 31) + b"x."), prepare
    yield "pickle, bytes of 8 GB", _pickle(b"\x80\x05\x96" + struct.pack("<Q", 1 << 33) + b"x."), prepare
    yield "pickle, a number of 2 GB", _pickle(b"\x80\x02\x8b" + struct.pack("<i", 0x7FFFFFFF) + b"x."), prepare
    for corners in (4, 40, 400):
        ring = [-1e6, -1e6, 1e6, -1e6, 1e6, 1e6, -1e6, 1e6] * (corners // 4)
        yield f"COCO, a polygon of {corners} corners a million pixels away", _coco([ring], 1), prepare
    yield "COCO, 300 such polygons", _coco([[-1e6, -1e6, 1e6, -1e6, 1e6, 1e6, -1e6, 1e6]], 300), prepare
    yield (
        "COCO, a zigzag of 100,000 corners",
        _coco([[x for n in range(50_000) for x in (n % 7, -9e5, n % 5, 9e5)]], 1),
        prepare,
    )
    yield (
        "COCO, the same filtered",
        _coco([[-1e6, -1e6, 1e6, -1e6, 1e6, 1e6, -1e6, 1e6] * 50], 1),
        ["filter", "IN", "--out", "OUT", "--config", inputs.filter],
    )
    yield "a mask source of one RGBA PNG of 16384²", _png_source, ["build", "IN/r.yaml", "--out", "OUT"]
    yield "TIFF of 1,200 channels", _many_channels, [*prepare, "--crop", 512]
    yield (
        "filter of one 16000² PNG",
        _large,
        ["filter", "IN", "--out", "OUT", "--kind", "masks", "--config", inputs.filter],
    )
    yield "prepare of the same", _large, [*prepare, "--crop", 512]
    yield "prepare of the same, whole", _large, [*prepare, "--crop", 0]


def _with(make: Callable[[Path], Path], name: str, text: str) -> Callable[[Path], object]:
    def made(root: Path) -> None:
        (make(root) / name).write_text(text)

    return made


def _pickle(data: bytes) -> Callable[[Path], object]:
    def made(root: Path) -> None:
        layouts.ALL["samrs"](root)
        for path in root.rglob("*.pkl"):
            path.write_bytes(data)

    return made


def _coco(polygons: list[list[float]], count: int) -> Callable[[Path], object]:
    def made(root: Path) -> None:
        layouts.ALL["coco"](root)
        [path] = root.rglob("*.json")
        document: dict[str, Any] = json.loads(path.read_text())
        first = document["annotations"][0]
        document["annotations"] += [{**first, "id": 900 + n, "segmentation": polygons} for n in range(count)]
        path.write_text(json.dumps(document))

    return made


def _png(width: int, height: int, color: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(9), bytes(1 + width * {0: 1, 2: 3, 6: 4}[color])
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _png_source(root: Path) -> None:
    (root / "masks").mkdir(parents=True)
    (root / "masks/a.png").write_bytes(_png(16384, 16384, 6))
    (root / "r.yaml").write_text(
        "name: a\nseed: 1\nimage: {size: 64}\ncategories: [{name: water, count: 1}]\n"
        "conditions: [{kind: dataset, path: masks}]\nsynthesis: {kind: fake}\nexports: [coco]\n"
    )


def _many_channels(root: Path) -> None:
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    shape = {"width": 2048, "height": 2048, "count": 1200, "dtype": "uint8"}
    packed = {"compress": "deflate", "tiled": True, "blockxsize": 256, "blockysize": 256, "SPARSE_OK": True}
    with rasterio.open(root / "images/a.tif", "w", driver="GTiff", interleave="band", **shape, **packed):
        pass
    cv2.imwrite(str(root / "masks/a.png"), np.ones((2048, 2048), np.uint8))
    (root / "classes.json").write_text('{"0": "background", "1": "road"}')


def _large(root: Path) -> None:
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    (root / "images/a.png").write_bytes(_png(16000, 16000, 2))
    (root / "masks/a.png").write_bytes(_png(16000, 16000, 0))
    (root / "classes.json").write_text('{"0": "background", "1": "road"}')


def escapes(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Class, recipe and file names with terminal escapes, formulas and shell commands in them."""
    evil = "\x1b[2J\x1b]0;pwned\x07\x1b[31mEVIL\r"
    home = Home(folder)
    source = home.work / "b"
    shutil.copytree(inputs.build, source)
    record = json.loads((source / "run.json").read_text())
    record["name"] = f"{evil}; touch {home.root}/pwned #"
    for category in record["taxonomy"]:
        category["name"] += evil
    (source / "run.json").write_text(json.dumps(record))
    for words in (["status", source], ["stats", source], ["split", source], ["report", source],
                  ["merge", source, inputs.prepared, "-o", home.work / "m"],
                  ["export", source, "-f", "imagefolder,yolo-detect,coco", "-o", home.work / "e"],
                  ["filter", source, "--out", home.work / "f", "--config", inputs.filter]):  # fmt: skip
        ended = run(words, home.log)
        raw = [c for c in ("\x1b[2J", "\x1b]0;", "\x07", "\r") if c in ended.text]
        yield f"escapes, {words[0]}", home.fault(ended) or (f"reach the terminal: {raw}" if raw else None)
    for name in ("scores.csv", "labels.csv"):
        for path in home.work.rglob(name):
            cells = [cell.strip('"') for line in path.read_text().splitlines() for cell in line.split(",")]
            bad = [cell for cell in cells if cell[:1] in ("=", "@", "+") or "\r" in cell]
            yield f"cells of {name}", f"a formula: {bad[0]!r}" if bad else None


def plugins(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """A recipe that names a module which runs when it is imported."""
    home = Home(folder)
    (home.work / "harm.py").write_text(f"open({str(home.root / 'pwned')!r}, 'w')\n")
    recipe = home.work / "r.yaml"
    recipe.write_text(inputs.recipe.read_text().replace("kind: procedural", "kind: harm:Spec"))
    (home.work / "f.yaml").write_text("rules: [{kind: 'harm:Rule'}]\n")

    def there() -> None:
        import sys

        sys.path.insert(0, str(home.work))

    for words in (["recipe", "validate", recipe], ["plan", recipe],
                  ["filter", inputs.build, "--out", home.work / "f", "--config", home.work / "f.yaml"]):  # fmt: skip
        ended = run(words, home.log, before=there)
        yield f"a plug-in, {words[0]}", home.fault(ended) or (None if "--allow-plugins" in ended.text else "not said")


def attack(folder: Path, inputs: Inputs) -> Iterator[Outcome]:
    """All of it."""
    for title, attacks in (
        ("hostile names", names), ("links", links), ("hostile zips", archives), ("bombs, 1 GB of memory", bombs),
        ("escapes and formulas", escapes), ("plug-ins that run when looked at", plugins),
    ):  # fmt: skip
        yield outcome(title, attacks, folder, inputs)


def outcome(title: str, attacks: Callable[[Path, Inputs], Iterator[Attack]], folder: Path, inputs: Inputs) -> Outcome:
    """What came of attacks of one sort."""
    found = Outcome(title)
    for what, fault in attacks(folder, inputs):
        found.count(f"{what}: {fault}" if fault else None)
    return found
