"""What was given comes out again: nothing shrinks, grows or moves, and the second trip changes no byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.exports.base import ExportSpec
from earthsynth_factory.exports.coco import CocoSpec
from earthsynth_factory.exports.dota import DotaSpec
from earthsynth_factory.exports.voc import VocSpec
from earthsynth_factory.exports.yolo import YoloDetectSpec, YoloObbSpec, YoloSegmentSpec
from tests.exports.round_trips import as_pixels, kept, labels, means, read, trip, written

TRIPS = [
    ("box", YoloDetectSpec()), ("box", VocSpec()), ("box", CocoSpec()), ("box", YoloSegmentSpec()),
    ("corners", DotaSpec()), ("corners", YoloObbSpec()), ("corners", CocoSpec()), ("corners", YoloSegmentSpec()),
    ("polygon", CocoSpec()), ("polygon", YoloSegmentSpec()),
    ("pixels", CocoSpec()), ("pixels", CocoSpec(polygons=True)), ("pixels", YoloSegmentSpec()),
]  # fmt: skip
"""What a source drew, and a format that can hold it."""


@pytest.mark.parametrize(("form", "spec"), TRIPS, ids=lambda value: value if isinstance(value, str) else value.kind)
def test_a_format_to_itself_keeps_every_object(form: str, spec: ExportSpec, tmp_path: Path) -> None:
    given = read(written(tmp_path / "in", "polygon" if form == "pixels" else form, images=1), tmp_path / "given")
    source = as_pixels(given) if form == "pixels" else given
    once = trip(source, spec, tmp_path / "once")
    found = means(kept(source, once))
    assert min(found.values()) >= 0.999, found
    assert form != "pixels" or _masks(source) == _masks(once)
    twice = trip(once, spec, tmp_path / "twice")
    trip(twice, spec, tmp_path / "thrice")
    first, second, third = (labels(tmp_path / name / spec.kind) for name in ("once", "twice", "thrice"))
    assert list(first) == list(second), "stems do not grow"
    assert first == second == third


def _masks(dataset: LabelledDataset) -> list[list[str]]:
    return [[one.rle for one in record.instances] for record in dataset.samples()]


def test_oriented_boxes_stay_what_they_are_over_four_formats(tmp_path: Path) -> None:
    source = read(written(tmp_path / "in", "corners", images=1), tmp_path / "given", "dota")
    here = source
    for number, spec in enumerate((YoloObbSpec(), DotaSpec(), CocoSpec(), YoloSegmentSpec(), DotaSpec())):
        here = trip(here, spec, tmp_path / str(number))
    assert min(means(kept(source, here)).values()) >= 0.999
