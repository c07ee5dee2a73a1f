"""The loading lines of exports/README.md: run if the package is installed, else held against an export path by path."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import PIL.Image
import pytest
from ruamel.yaml import YAML

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.exports.base import KINDS
from earthsynth_factory.exports.write import export
from earthsynth_factory.recipe.load import export_blocks
from tests.making import make_store

README = (Path(__file__).parents[2] / "earthsynth_factory/exports/README.md").read_text()
TRAIN = 10
"""Images of the export's training part."""


def _snippets() -> Iterator[tuple[str, str, str]]:
    """Package, format and code of every block under a `# package: format` heading."""
    [block] = re.findall(r"## Loading\n.*?```python\n(.*?)```", README, flags=re.DOTALL)
    for text in re.split(r"\n+(?=# \w+: )", block.strip()):
        heading = re.match(r"# (\w+): ([\w-]+)", text)
        assert heading, text
        yield heading[1], heading[2], text


SNIPPETS = list(_snippets())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("loading")
    store = BuildReader(make_store(out / "store", 15))
    export(store, export_blocks(list(KINDS)), out, lambda _: None)
    return out


class Calls:
    """Stands for anything of a package that is not here: takes every attribute and call, and remembers the calls."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Calls:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **named: Any) -> Calls:
        self._log.extend([*args, *named.values()])
        for made in (found for found in args if callable(found)):
            made()
        return self


def _run(package: str, code: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[Any]]:
    """The names that the lines leave, and what they handed to a package that is not installed."""
    log: list[Any] = []
    if importlib.util.find_spec(package) is None:
        for name in (package, *re.findall(rf"from ({package}[\w.]+) import", code)):
            module = ModuleType(name)
            module.__getattr__ = lambda _: Calls(log)  # type: ignore[method-assign]
            monkeypatch.setitem(sys.modules, name, module)
    names: dict[str, Any] = {"json": json}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, names)
    return names, log


@pytest.mark.parametrize(
    ("package", "kind", "code"), SNIPPETS, ids=[f"{package}-{kind}" for package, kind, _ in SNIPPETS]
)
def test_the_lines_load_the_export(
    folder: Path, monkeypatch: pytest.MonkeyPatch, package: str, kind: str, code: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
    assert kind in KINDS and len(ast.parse(code).body) <= 5
    names, handed = _run(package, code, monkeypatch)
    if "dataset" in names:
        assert CONFIGURED[names["dataset"]["type"]](names["dataset"]) == TRAIN
    elif "data" in names and not handed:
        assert sum(1 for _ in names["data"]) == TRAIN
    else:
        paths = [Path(text) for text in handed if isinstance(text, str) and "/" in text]
        assert paths and all(path.exists() for path in paths)
        assert HANDED[package, kind](paths) == TRAIN


def test_every_trainer_is_there() -> None:
    assert {package for package, _, _ in SNIPPETS} == {
        "torchvision", "torchgeo", "ultralytics", "mmdet", "mmrotate", "mmseg", "detectron2", "datasets", "webdataset"
    }  # fmt: skip


def _coco(dataset: dict[str, Any]) -> int:
    root = Path(dataset["data_root"])
    return _named_images(
        [root / dataset["ann_file"], root / dataset["data_prefix"]["img"]], dataset["metainfo"]["classes"]
    )


def _named_images(paths: list[Path], classes: list[str] | None = None) -> int:
    """Images that a COCO file names and the folder has; where classes are given every object is of one."""
    document = json.loads(paths[0].read_text())
    known = {one["id"] for one in document["categories"] if classes is None or one["name"] in classes}
    assert {one["category_id"] for one in document["annotations"]} <= known
    return sum((paths[1] / image["file_name"]).is_file() for image in document["images"])


def _odvg(dataset: dict[str, Any]) -> int:
    """Lines with an image whose labels the map has, and whose boxes mmdetection's loader keeps."""
    root = Path(dataset["data_root"])
    labels = json.loads((root / dataset["label_map_file"]).read_text())
    lines = [json.loads(line) for line in (root / dataset["ann_file"]).read_text().splitlines()]
    assert {str(one["label"]) for line in lines for one in line["detection"]["instances"]} <= set(labels)
    return sum((root / dataset["data_prefix"]["img"] / line["filename"]).is_file() for line in lines)


def _dota(dataset: dict[str, Any]) -> int:
    """Text files with a PNG of the same name, every class of a line known. mmrotate's own suffix is png."""
    root = Path(dataset["data_root"])
    texts = sorted((root / dataset["ann_file"]).glob("*.txt"))
    words = {line.split()[8] for text in texts for line in text.read_text().splitlines()}
    assert words and words <= set(dataset["metainfo"]["classes"])
    return sum((root / dataset["data_prefix"]["img_path"] / f"{text.stem}.png").is_file() for text in texts)


def _semantic(dataset: dict[str, Any]) -> int:
    """Images of the suffix with a mask of the same name, every id of it a class."""
    images, masks = (Path(dataset["data_root"], dataset["data_prefix"][key]) for key in ("img_path", "seg_map_path"))
    found = sorted(images.rglob(f"*{dataset['img_suffix']}"))
    highest = max(int(np.asarray(PIL.Image.open(masks / f"{image.stem}.png")).max()) for image in found)
    assert highest < len(dataset["metainfo"]["classes"]) == len(dataset["metainfo"]["palette"])
    return len(found)


def _yolo(paths: list[Path]) -> int:
    table = YAML(typ="safe").load(paths[0].read_text())
    return sum(1 for _ in (paths[0].parent / table["train"]).iterdir())


def _pairs(paths: list[Path]) -> int:
    labels, images = ({path.name for path in folder.glob("*.png")} for folder in paths)
    return len(labels & images)


def _classes(paths: list[Path]) -> int:
    return sum(1 for _ in paths[0].glob("*/*.png"))


CONFIGURED: dict[str, Callable[[dict[str, Any]], int]] = {
    "CocoDataset": _coco, "ODVGDataset": _odvg, "DOTADataset": _dota, "BaseSegDataset": _semantic
}  # fmt: skip
HANDED: dict[tuple[str, str], Callable[[list[Path]], int]] = {
    ("ultralytics", "yolo-segment"): _yolo,
    ("detectron2", "coco"): _named_images,
    ("detectron2", "gsnet"): _pairs,
    ("torchgeo", "imagefolder"): _classes,
}
