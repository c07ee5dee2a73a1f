"""`python -m tests.benchmarks.round_trips`: every format to itself and to COCO, mean IoU by the object's size in pixels.

The outlines are compared exactly (shapely), as drawn: nothing is rasterised in between.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from earthsynth_factory.exports.coco import CocoSpec
from tests.exports.round_trips import SIZES, as_pixels, kept, labels, means, read, trip, written
from tests.exports.test_round_trips import TRIPS


def main() -> None:
    """Print the table."""
    print("| source draws | format | trip |", " | ".join(f"{size} px" for size in SIZES), "| second trip |")
    print("|---|---|---|" + "---|" * (len(SIZES) + 1))
    with tempfile.TemporaryDirectory() as home:
        for number, (form, spec) in enumerate(TRIPS):
            folder = Path(home) / str(number)
            given = read(written(folder / "in", "polygon" if form == "pixels" else form, images=4), folder / "given")
            source = as_pixels(given) if form == "pixels" else given
            once = trip(source, spec, folder / "once")
            trip(once, spec, folder / "twice")
            same = labels(folder / "once" / spec.kind) == labels(folder / "twice" / spec.kind)
            to_coco = trip(once, CocoSpec(), folder / "coco")
            for what, found in (("itself", kept(source, once)), ("COCO", kept(source, to_coco))):
                cells = " | ".join(f"{iou:.4f}" for iou in means(found).values())
                told = ("bytes equal" if same else "bytes differ") if what == "itself" else ""
                name = f"{spec.kind}, `polygons: true`" if getattr(spec, "polygons", False) else spec.kind
                print(f"| {form} | {name} | → {what} | {cells} | {told} |", flush=True)


if __name__ == "__main__":
    main()
