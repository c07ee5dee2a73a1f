"""Things that stand where files of ours or a dataset's are looked for: pipes, devices, folders, files without end, names
that look like numbers, documents that are deep, large, or say a thing twice.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from tests.attack.hostile import Attack, Home, limited, plain_dataset
from tests.attack.inputs import RECIPE, Inputs
from tests.attack.running import run
from tests.importers import layouts

Change = Callable[[Path], object]
GIB = 1 << 30


def _pipe(name: str) -> Change:
    def change(root: Path) -> None:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        os.mkfifo(path)

    return change


def _folder(name: str) -> Change:
    def change(root: Path) -> None:
        (root / name).unlink(missing_ok=True)
        (root / name / "inner").mkdir(parents=True)

    return change


def _sparse(name: str, size: int = 3 * GIB) -> Change:
    return lambda root: os.truncate(root / name, size)


def _text(name: str, text: str) -> Change:
    return lambda root: (root / name).write_text(text)


def _replaced(name: str, old: str, new: str) -> Change:
    return lambda root: (root / name).write_text((root / name).read_text().replace(old, new))


def _swapped(root: Path) -> None:
    shards = root / "shards"
    (shards / "00000").rename(shards / "x")
    (shards / "00001").rename(shards / "00000")
    (shards / "x").rename(shards / "00001")


FIRST = "shards/00000"
BUILDS: dict[str, Change] = {
    **{f"a pipe, {name}": _pipe(name) for name in (
        "run.json", f"{FIRST}.json", f"{FIRST}/samples.jsonl", f"{FIRST}/images/0000000.png", f"{FIRST}/masks/0000000.png",
        "recipe.yaml", "sessions.jsonl", ".lock", ".earthsynth-factory.json", "exports/coco", "doubts.json",
    )},
    **{f"a folder, {name}": _folder(name) for name in (
        "run.json", f"{FIRST}.json", f"{FIRST}/samples.jsonl", f"{FIRST}/images/0000000.png", ".lock", "README.md",
    )},
    **{f"3 GiB of zeros, {name}": _sparse(name) for name in (
        "run.json", f"{FIRST}.json", f"{FIRST}/samples.jsonl", f"{FIRST}/rejects.jsonl", f"{FIRST}/images/0000000.png",
        f"{FIRST}/instances/0000000.png", ".earthsynth-factory.json",
    )},
    "run.json, 100,000 deep": _text("run.json", "[" * 100_000 + "]" * 100_000),
    "run.json, a name twice": _replaced("run.json", '"name": "small"', '"name": "a", "name": "b"'),
    "run.json, numbers without end": _replaced("run.json", '"images": 24', '"images": 1e400'),
    "run.json, a lone surrogate": _replaced("run.json", '"small"', '"\\ud800"'),
    "run.json, classes of HTML and formulas": _replaced("run.json", '"storage tank"', '"=<script>alert(1)</script>"'),
    "a marker of a billion slots": _replaced(f"{FIRST}.json", '"files": 20', '"files": 1000000000'),
    "a line that says a thing twice": _replaced(f"{FIRST}/samples.jsonl", '{"slot":0,', '{"slot":0,"slot":3,'),
    "a folder called ²": lambda root: (root / "shards/²").mkdir(),
    "a folder called ٣": lambda root: (root / "shards/٣").mkdir(),
    "a folder of forty nines": lambda root: (root / "shards" / ("9" * 40)).mkdir(),
    "two shards exchanged": _swapped,
}  # fmt: skip


def builds(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Every such build looked at, exported, filtered, split, and gone on with."""
    commands = (
        ["status", "IN", "--verify"], ["report", "IN"], ["export", "IN", "-f", "coco,semantic", "-o", "OUT"],
        ["filter", "IN", "--out", "OUT2", "--config", inputs.filter, "--apply", "copy"], ["split", "IN"],
        ["build", inputs.recipe, "--out", "IN"],
    )  # fmt: skip
    for what, change in BUILDS.items():
        home = Home(folder)
        shutil.copytree(inputs.build, home.work / "in")
        change(home.work / "in")
        names = {"IN": home.work / "in", "OUT": home.work / "out", "OUT2": home.work / "out2"}
        for words in commands:
            placed = [names.get(str(word), word) for word in words]
            yield f"{what}, {words[0]}", home.fault(run(placed, home.log, limited, seconds=60), home.work / "out")


def _items(document: dict[str, object], key: str, value: object) -> str:
    items = document["items"]
    assert isinstance(items, dict)
    items["a"][key] = value
    return json.dumps(document).replace('"1e400"', "1e400")


def datasets(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Prepared datasets: items that differ in case alone, numbers without end, objects of no image, links in names."""
    del inputs
    changes: dict[str, Callable[[dict[str, object]], str]] = {
        "items that differ in case": lambda one: json.dumps(one).replace('"b":', '"A":'),
        "no items": lambda one: json.dumps({**one, "items": {}}),
        **{f"{key} {value!r}": lambda one, k=key, v=value: _items(one, k, v) for key, value in (
            ("metres_per_pixel", "1e400"), ("size", [1 << 28, 1 << 28]), ("size", [32, "1e400"]), ("categories", [254]),
            ("categories", list(range(200))), ("transform", ["1e400"] * 6), ("crs", "EPSG:" + "9" * 5000),
            ("crs", "+init=/etc/passwd"), ("group", "\x1b[2J" * 9), ("group", "g" * 100_000), ("image", "a.PNG"),
            ("split", "CON"), ("split", "a" * 200), ("corner", [10**30, 0]),
        )},
        "a class of HTML": lambda one: json.dumps({**one, "classes": {"1": "<img src=x onerror=alert(1)>", "90": "=1+1"}}),
        "a class of 100,000 letters": lambda one: json.dumps({**one, "classes": {"1": "bare land", "90": "x" * 100_000}}),
        "a class with a line in it": lambda one: json.dumps({**one, "classes": {"1": "bare land", "90": "a\nb\r\t\u2028"}}),
    }  # fmt: skip
    commands = (
        ["export", "IN", "-f", "coco,yolo-segment,voc,imagefolder", "-o", "OUT"], ["stats", "IN", "-o", "OUT/s.png"],
        ["split", "IN", "--ratios", "0.5,0.5", "-o", "OUT2"],
    )  # fmt: skip
    for what, change in changes.items():
        home = Home(folder)
        plain_dataset(home.work / "in")
        path = home.work / "in/dataset.json"
        path.write_text(change(json.loads(path.read_text())))
        names = {"IN": home.work / "in", "OUT": home.work / "out", "OUT2": home.work / "out2"}
        for words in commands:
            placed = [str(names.get(word, word)).replace("OUT/", f"{home.work}/out/") for word in words]
            yield f"{what}, {words[0]}", home.fault(run(placed, home.log, limited, seconds=60), home.work / "out")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_chunk(data: bytes, chunk: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    return data[:33] + chunk + data[33:]


def pictures(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Images and masks that are not what their first bytes say."""
    del inputs
    usual = cv2.imencode(".png", np.full((64, 96, 3), 80, np.uint8))[1].tobytes()
    deep = cv2.imencode(".png", np.full((64, 96, 3), 8000, np.uint16))[1].tobytes()
    packed = zlib.compress(b"\0" * (300 << 20), 9)
    made = {
        "a header of 60,000²": usual[:16] + struct.pack(">II", 60_000, 60_000) + usual[24:],
        "a header of no pixels": usual[:16] + struct.pack(">II", 0, 0) + usual[24:],
        "16 bits": deep,
        "compressed text of 300 MB": _with_chunk(usual, _chunk(b"zTXt", b"k\0\0" + packed)),
        "international text of 300 MB": _with_chunk(usual, _chunk(b"iTXt", b"k\0\1\0\0\0" + packed)),
        "a profile of 300 MB": _with_chunk(usual, _chunk(b"iCCP", b"k\0\0" + packed)),
        "an animation of a billion frames": _with_chunk(usual, _chunk(b"acTL", struct.pack(">II", 1 << 30, 0))),
        "a chunk of 4 GB": _with_chunk(usual, b"\xff\xff\xff\xfetEXt"),
        "no picture": b"<html>" * 100,
        "nothing": b"",
    }
    for what, data in made.items():
        for place in ("images", "masks"):
            home = Home(folder)
            layouts.ALL["masks"](home.work / "in")
            for path in sorted((home.work / "in" / place).iterdir())[:1]:
                path.write_bytes(data)
            words = [
                "prepare",
                home.work / "in",
                "--out",
                home.work / "out",
                "--workers",
                1,
                "--crop",
                0,
                "--kind",
                "masks",
            ]
            yield f"{what}, {place}", home.fault(run(words, home.log, limited, seconds=60), home.work / "out")


def _zip(*entries: tuple[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return held.getvalue()


def archives(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Zips whose directory lies: entries over one another, sizes that are not, encrypted, in another zip, without end."""
    del inputs
    layouts.ALL["coco"](folder / "plain")
    files = [(str(path.relative_to(folder / "plain")), path.read_bytes()) for path in sorted((folder / "plain").rglob("*")) if path.is_file()]  # fmt: skip
    whole = _zip(*files)
    entry = whole.index(b"PK\1\2")
    made = {
        "entries over one another": whole[: entry + 42] + b"\0\0\0\0" + whole[entry + 46 :],
        "a size of 4 GB": whole[: entry + 24] + b"\xfe\xff\xff\xff" + whole[entry + 28 :],
        "encrypted": whole[: entry + 8] + b"\1\0" + whole[entry + 10 :],
        "another way of packing": whole[: entry + 10] + b"\x63\0" + whole[entry + 12 :],
        "a directory of 60,000 entries": whole[:-14] + b"\x60\xea\x60\xea" + whole[-10:],
        "cut off": whole[: len(whole) // 2],
        "a zip in a zip": _zip(("in.zip", whole)),
        "3,000 entries of nothing": _zip(*((f"images/{n}.jpg", b"") for n in range(3000))),
        "bytes before it": b"#!/bin/sh\n" + whole,
    }
    for what, data in made.items():
        home = Home(folder / "case")
        (home.work / "in.zip").write_bytes(data)
        words = ["prepare", home.work / "in.zip", "--out", home.work / "out", "--workers", 1, "--crop", 0]
        yield what, home.fault(run(words, home.log, limited, seconds=60), home.work / "out")


def places(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Folders with names that shells, URLs and terminals read otherwise, and a user who lets nobody else read."""
    for name in ("a b", "a\nb", "ünï 🛰", "100%d%s", "-v", "$(touch x)", "a'b\"c", "#x?y=1", "[a]*"):
        home = Home(folder)
        out = home.work / name / "out"
        for words in (
            ["build", inputs.recipe, "--out", out],
            ["report", out],
            ["filter", out, "--out", home.work / name / "f", "--config", inputs.filter, "--apply", "copy"],
            ["export", out, "-f", "coco,yolo-detect", "-o", home.work / name / "e"],
        ):
            ended = run(words, home.log, lambda: os.umask(0o077) and None)
            raw = [character for character in ("\x1b[2J", "\x07") if character in ended.text]
            done = None if ended.code == 0 else f"exit {ended.code}: {ended.text[-200:]}"
            yield f"{name!r}, {words[0]}", home.fault(ended) or done or (f"reach the terminal: {raw}" if raw else None)


def recipes(folder: Path, inputs: Inputs) -> Iterator[Attack]:
    """Recipes that are no text, refer to themselves, say a thing twice, or name what is no plain path."""
    texts = {
        "an alias of itself": RECIPE + "x: &a [*a]\n",
        "a key twice": RECIPE + "seed: 6\n",
        "a tag that runs": RECIPE + "x: !!python/object/apply:os.system ['touch pwned']\n",
        "a merge": RECIPE + "<<: {seed: 7}\n",
        "100,000 deep": "a: " + "[" * 100_000,
        "a count without end": RECIPE.replace("count: 14", "count: 1e400"),
        "a count of 10^18": RECIPE.replace("count: 14", "count: 1000000000000000000"),
        "NaN metres": RECIPE.replace("0.6..1.2", ".nan"),
        "a name that is a path": RECIPE.replace("name: small", "name: ../../evil"),
        "two documents": RECIPE + "---\n" + RECIPE,
        "a byte of zero": RECIPE + "x: a\0b\n",
        "UTF-16": RECIPE.encode("utf-16").decode("latin-1"),
        "shards of nothing": RECIPE.replace("shard_size: 6", "shard_size: 0"),
        "workers without end": RECIPE.replace("shard_size: 6", "shard_size: 6, workers: 100000"),
        "images of a million pixels a side": RECIPE.replace("size: 48", "size: 1000000"),
    }
    del inputs
    for what, text in texts.items():
        home = Home(folder)
        (home.work / "r.yaml").write_bytes(text.encode("latin-1" if what == "UTF-16" else "utf-8"))
        for words in (["recipe", "validate", home.work / "r.yaml"], ["plan", home.work / "r.yaml"]):
            yield f"{what}, {words[0]}", home.fault(run(words, home.log, limited, seconds=60))


ALL = {
    "odd files in builds": builds, "odd values in datasets": datasets, "odd pictures": pictures, "odd zips": archives,
    "odd names of folders": places, "odd recipes": recipes,
}  # fmt: skip
