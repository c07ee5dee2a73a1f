"""`python -m tests.benchmarks.exporting [IMAGES …] [--formats coco,dota]`: peak memory of every export format over size.

The dataset is made up as it is read: an image of 128 px with 20 objects, a group of its own for each. Every format and size
is a process of its own. Images that stand beside the labels are left out (`images: none`); those inside archives are not.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord, to_line
from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.sample import Candidate, Image, Sample, Slot, Verdict
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.exports.base import KINDS
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.io.stored import StoredFile
from earthsynth_factory.labels.from_condition import LabelSpec, map_labels
from earthsynth_factory.recipe.load import export_blocks
from tests.making import SHIP, WATER, make_image, write_run

SIDE, OBJECTS = 128, 20


class MadeUp(BuildReader):
    """`wanted` images, all alike; each record is parsed anew, as from a journal."""

    def __init__(self, root: Path, wanted: int) -> None:
        super().__init__(root)
        labels, image = _labels(), make_image(0, SIDE)
        sample = Sample(Candidate(Slot(0, SHIP, "train", 0), 0, 0, labels, image), Verdict({}, 0.0), _mapped(labels))
        facts = {"line": to_line(SampleRecord.of(sample)), "labels": labels, "image": image, "wanted": wanted}
        self.__dict__.update(facts)  # the reader is frozen
        self.image_file(SampleRecord.of(sample)).path.write_bytes(encode_png(image))

    def samples(self) -> Iterator[SampleRecord]:
        for slot in range(self.__dict__["wanted"]):
            origin = Origin("made", f"group{slot}")
            split = "val" if slot % 10 == 9 else "train"
            yield replace(SampleRecord.parse(self.__dict__["line"]), slot=slot, split=split, origin=origin)

    def image_file(self, record: SampleRecord) -> StoredFile:  # noqa: ARG002
        return StoredFile(self.root / "image.png")

    def image(self, record: SampleRecord) -> Image:  # noqa: ARG002
        return np.array(self.__dict__["image"])

    def mask(self, record: SampleRecord) -> np.ndarray:  # noqa: ARG002
        return np.array(self.__dict__["labels"].mask)

    def instances(self, record: SampleRecord) -> np.ndarray:  # noqa: ARG002
        return np.array(self.__dict__["labels"].instances)


def _labels() -> Condition:
    mask, ids = np.full((SIDE, SIDE), WATER, np.uint8), np.zeros((SIDE, SIDE), np.uint16)
    for number in range(OBJECTS):
        y, x = divmod(number, 5)
        place = slice(4 + 30 * y, 18 + 30 * y + number % 3), slice(4 + 24 * x, 14 + 24 * x + number % 7)
        mask[place], ids[place] = SHIP, number + 1
    return Condition(mask, ids, "A satellite image of water, ship", 0.5, 0, Origin("made", "group"))


def _mapped(condition: Condition):  # type: ignore[no-untyped-def]
    return map_labels(condition, LabelSpec(), earthsynth())


def _measure(kind: str, images: int, folder: Path) -> None:
    """Write the export in this process and print seconds and its own peak memory as JSON."""
    write_run(folder)
    store = MadeUp(folder, images)
    [spec] = export_blocks([kind])
    if "images" in type(spec).model_fields:
        spec = spec.model_copy(update={"images": "none"})
    out = folder / "out"
    out.mkdir()
    started = time.perf_counter()
    spec.write(store, out, lambda _: None)
    # The kernel's own high-water mark of this program; getrusage would still count the parent it was forked from.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak, "needs Linux"
    print(orjson.dumps({"seconds": time.perf_counter() - started, "peak_mb": int(peak[1]) / 1024}).decode())


def main(words: list[str]) -> None:
    """Print the table."""
    kinds = list(KINDS)
    if "--formats" in words:
        kinds = words.pop(words.index("--formats") + 1).split(",")
        words.remove("--formats")
    sizes = [int(word) for word in words] or [1000, 10_000]
    print(f"{OBJECTS} objects an image\n| format | images | seconds | peak RSS, MB |\n|---|---|---|---|")
    for kind in kinds:
        for images in sizes:
            folder = Path(tempfile.mkdtemp())
            run = [sys.executable, "-m", "tests.benchmarks.exporting", "--one", kind, str(images), str(folder)]
            figures = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
            shutil.rmtree(folder)
            print(f"| {kind} | {images} | {figures['seconds']:.0f} | {figures['peak_mb']:.0f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _measure(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(sys.argv[1:])
