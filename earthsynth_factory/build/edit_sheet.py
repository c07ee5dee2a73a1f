"""A contact sheet of what was changed in pictures: each as before, after, mask and difference.

The picture before is not kept with the masters: it is drawn again from the seeds, so the sources must be where they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.build.plan import Plan
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.report.sheets import captioned, grid, overlay, source_of_all, spread, to_png

AMPLIFIED = 2
"""Factor by which a difference is shown."""

FIRST = 4096
"""Samples among which those of a sheet are sought: they hold every category, since the plan interleaves them."""


def edit_sheet(
    store: BuildReader, plan: Plan, pipeline: Pipeline, count: int = 12, columns: int = 2, side: int = 160
) -> bytes:
    """PNG with a tile for up to `count` samples. Empty if no source gives pictures, or no sample is there yet.

    Raises NoCondition, SourceError if a source is not what it was.
    """
    records = spread(list(islice(store.samples(), FIRST)), count)
    pairs = [record.pair.id for record in records if record.pair]
    if pairs:  # both images of a pair beside one another
        records = _with_twins(store, records)[:count]
    tiles = [tile for record in records if (tile := _tile(store, plan, pipeline, record, side)) is not None]
    return to_png(grid(tiles, columns), source_of_all(store, records)) if tiles else b""


def difference_picture(before: Image, after: Image) -> Image:
    """(H, W, 3) how far the two are apart, the larger the brighter; black where they are equal to the bit."""
    away = np.abs(after.astype(np.int16) - before)
    return np.asarray(np.minimum(255, AMPLIFIED * away), np.uint8)


def _tile(store: BuildReader, plan: Plan, pipeline: Pipeline, record: SampleRecord, side: int) -> Image | None:
    drawn = pipeline.draw(plan.slot(record.slot), record.attempt // pipeline.recipe.rfilter.candidates)
    if drawn.ground is None:
        return None
    after, mask = store.image(record), store.mask(record)
    marked = overlay(after, mask, store.instances(record), store.taxonomy)
    return captioned(
        [drawn.ground, after, marked, difference_picture(drawn.ground, after)], _caption(store, record), side
    )


def _caption(store: BuildReader, record: SampleRecord) -> str:
    name = store.taxonomy[record.category].name if record.category is not None else "nothing asked for"
    pair = f", pair {record.pair.id}{' without' if record.pair.counterfactual else ''}" if record.pair else ""
    return f"{record.stem} {name}{pair}: before, after, mask, difference"


def _with_twins(store: BuildReader, records: Sequence[SampleRecord]) -> list[SampleRecord]:
    wanted = {record.pair.id for record in records if record.pair} | {record.slot for record in records}
    return [
        record
        for record in islice(store.samples(), FIRST)
        if record.slot in wanted or (record.pair and record.pair.id in wanted)
    ]
