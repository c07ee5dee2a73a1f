"""What makes a finished build's data poor although every count is reached: sentences for user, card and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.errors import FactoryError, StoreError
from earthsynth_factory.filtering.sources import built_entry
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.io.bounded import read_bounded
from earthsynth_factory.recipe.schema import EMBEDDED_THRESHOLDS, Recipe
from earthsynth_factory.recipe.thresholds import embedded_thresholds
from earthsynth_factory.report.sheets import spread
from earthsynth_factory.rfilter.judge import Judge, Limits

SMALL = 10
"""Objects whose longer side is fewer pixels than this are too small to be recognised or learnt from."""

SMALL_SHARE = 0.05
"""Fewer of them are not worth a sentence."""

LOOKED_AT = 192
"""Accepted images that the default filter is asked about."""

BATCH = 16


def read_doubts(layout: BuildLayout) -> list[str]:
    """What was said when the build was finished. Raises StoreError if the file is damaged."""
    try:
        return [str(line) for line in orjson.loads(read_bounded(layout.doubts))]
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"{layout.doubts}: damaged ({error}); remove it and run the same build command again"
        ) from error


def doubts_of(store: BuildReader, recipe: Recipe) -> list[str]:
    """Everything that is doubtful in a build, as sentences."""
    return [*unknown_classes(store), *small_objects(store, recipe), *unlike_the_filter(store, recipe)]


def unknown_classes(store: BuildReader) -> Iterator[str]:
    """Classes that the model's card does not know."""
    unknown = store.run.unknown
    if unknown:
        yield f"The model has not learnt {', '.join(unknown)}: what its images show is not what their labels say."


def small_objects(store: BuildReader, recipe: Recipe) -> Iterator[str]:
    """Objects of fewer than `SMALL` pixels, class by class, if they are more than a few; of the classes that exports have."""
    every: Counter[int] = Counter()
    small: Counter[int] = Counter()
    for record in store.samples():
        every.update(one.category for one in record.instances)
        small.update(one.category for one in record.instances if max(one.box[2:]) < SMALL)
    labelled = set(recipe.targets()) if recipe.labels.classes == "targets" else set(every)
    worst = [one for one in small if one in labelled and small[one] > SMALL_SHARE * every[one]]
    if worst:
        listed = ", ".join(f"{small[one]} of {every[one]} {store.taxonomy[one].name}" for one in sorted(worst))
        yield f"Objects under {SMALL} pixels: {listed}. Lower metres_per_pixel, or raise `size` or `labels.min_area`."


def unlike_the_filter(store: BuildReader, recipe: Recipe) -> Iterator[str]:
    """How many of the accepted images `filter`'s default rules would refuse, if the recipe asked others."""
    if recipe.is_dry_run() or _asked_already(recipe):
        return
    records = spread(list(_first(store)), LOOKED_AT)
    try:
        refused = Counter(_refused(store, records))
    except FactoryError:  # a second opinion that cannot be had is no fault of the dataset
        return
    if refused:
        listed = ", ".join(f"{count}× {name}" for name, count in refused.most_common())
        yield (
            f"Of {len(records)} accepted images that were looked at again, {refused.total()} fail the default rules of "
            f"`filter`, calibrated on real images: {listed}. Leave out `rfilter.rules` to hold the build to them."
        )


def _asked_already(recipe: Recipe) -> bool:
    asked = {rule.kind for rule in recipe.rfilter.rules}
    return recipe.rfilter.thresholds == EMBEDDED_THRESHOLDS and asked >= {rule.kind for rule in FilterSpec().rules}


def _first(store: BuildReader, most: int = 4096) -> Iterator[SampleRecord]:
    return (record for record, _ in zip(store.samples(), range(most), strict=False))


def _refused(store: BuildReader, records: Sequence[SampleRecord]) -> Iterator[str]:
    """The class of every record that a default rule refuses."""
    taxonomy, rules = store.taxonomy, FilterSpec().rules
    context, limits = (
        StageContext(taxonomy, sorted(store.targets), Path(), "cpu"),
        Limits(embedded_thresholds(rules, taxonomy)),
    )
    judge = Judge.of(rules, context, limits)
    judge.open()
    for start in range(0, len(records), BATCH):
        some = records[start : start + BATCH]
        verdicts = judge.judge([built_entry(store, record).load() for record in some])
        for record, verdict in zip(some, verdicts, strict=True):
            if not verdict.kept:
                yield taxonomy.asked_for(record.category)
