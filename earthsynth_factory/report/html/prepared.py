"""A prepared dataset as the subject of a report: real images, which nobody scored and no seed made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.licences import terms_of
from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.io.provenance import source_type_of
from earthsynth_factory.report.html.model import NOTHING, ImagePixels, ReportImage, Subject

_ABSENT = {
    "scores": "No scores: nothing was filtered here. `earthsynth-factory filter` scores this folder.",
    "reasons": "No rejections: every image that `prepare` wrote is in the dataset.",
}


def subject_of_prepared(dataset: LabelledDataset) -> Subject:
    """Raises SourceError, StoreError if the folder is damaged."""
    terms = terms_of(dataset)
    source = [("source", terms.source), ("licence", terms.licence), ("credit", terms.credit)]
    labelled = "every pixel" if terms.dense else "some classes; what is background may be anything"
    return Subject(
        name=dataset.name,
        lead="Real images, prepared from a dataset.",
        taxonomy=dataset.taxonomy,
        splits=dataset.splits,
        entries=partial(_entries, dataset),
        absent=_ABSENT,
        making=[("Source", [*((name, text) for name, text in source if text), ("labelled", labelled)])],
    )


def _entries(dataset: LabelledDataset) -> Iterator[ReportImage]:
    for record in dataset.samples():
        yield entry_of(dataset, record)


def entry_of(dataset: LabelledDataset, record: SampleRecord) -> ReportImage:
    """A kept image: counted under the class it was made for, or if there is none under all that are in it."""
    light = replace(record, instances=())
    return ReportImage(
        name=record.stem,
        outcome=Outcome.KEPT,
        groups=(record.category,) if record.category is not None else record.classes or (NOTHING,),
        split=record.split,
        instances=record.instances,
        size=(record.width, record.height),
        metres_per_pixel=record.metres_per_pixel or None,
        prompt=record.prompt,
        origin=record.origin,
        pixels=lambda: ImagePixels(
            dataset.image(light),
            dataset.mask(light),
            dataset.instances(light),
            source_type_of(dataset.image_file(light)),
        ),
    )
