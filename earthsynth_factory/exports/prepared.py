"""Our own layout of prepared data, which every command here reads: what `split` and `merge` write.

    images/<stem>.*  masks/<stem>.png  instances/<stem>.png  instances.jsonl  train.jsonl  dataset.json

It holds what is true of the images: labels, whole masks of covered objects, groups, splits, licences. What a build knows
beyond that (prompts, scores, seeds, which class was asked for) stays in the build.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord, instance_fields
from earthsynth_factory.datasets.licences import terms_of
from earthsynth_factory.datasets.merged import Merged
from earthsynth_factory.datasets.prepared.train_list import training_lines
from earthsynth_factory.datasets.prepared.writer import put_item, streamed_dataset
from earthsynth_factory.datasets.views import View
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, earthsynth
from earthsynth_factory.exports.base import ExportSpec, ExportSummary, Progress
from earthsynth_factory.exports.images import Images, put_image
from earthsynth_factory.exports.walk import Walk, origin_fields


class PreparedSpec(ExportSpec):
    """A folder that stands on its own."""

    kind: Literal["prepared"] = "prepared"
    images: Images = Field(default="link")
    """`link`, `copy` or `none`."""

    def write(self, store: LabelledDataset, out: Path, progress: Progress) -> ExportSummary:
        # Ids below 69 mean EarthSynth's categories in this layout, whatever a recipe calls them.
        dataset = store if isinstance(store, Merged) or _usual(store) else Merged([store])
        walk, seen = Walk(dataset, progress), set[int]()
        with streamed_dataset(out) as streamed:
            for record in walk:
                image, numbers = dataset.image_file(record), dataset.instances(record)
                put = partial(put_image, image, images=self.images)
                name = put_item(out, record.stem, record.stem + image.suffix, put, dataset.mask(record), numbers).name
                lines = training_lines(record.stem, name, record.classes, dataset.taxonomy, augmented=False)
                objects = [instance_fields(instance) for instance in record.instances]
                streamed.add(record.stem, _item(record, name), lines, objects)
                seen.update(record.classes, (instance.category for instance in record.instances))
            streamed.close(_about(dataset, seen | dataset.targets))
        notes = dataset.notes if isinstance(dataset, Merged) else []
        return ExportSummary("prepared", walk.counts, (*notes, *_land_cover(dataset, seen), *_left_behind(store)))


def _usual(store: LabelledDataset) -> bool:
    """Whether every id that EarthSynth has is called as there."""
    known = earthsynth()
    return all(category.name == known[category.id].name for category in store.taxonomy if category.id in known)


def _item(record: SampleRecord, name: str) -> dict[str, Any]:
    return {
        "group": record.origin.group,
        "split": record.split,
        "metres_per_pixel": record.metres_per_pixel or None,
        "size": [record.height, record.width],
        "categories": list(record.classes),
        "image": name,
        **_place(record),
        **({"pair": asdict(record.pair)} if record.pair else {}),
    }


def _place(record: SampleRecord) -> dict[str, Any]:
    """Where the image lies in its scene and on the ground, and what it was cut from, as `ItemRecord` has it."""
    detail = record.origin.detail
    return ({"corner": [detail["top"], detail["left"]]} if "top" in detail else {}) | origin_fields(record.origin)


def _about(dataset: LabelledDataset, used: set[int]) -> dict[str, Any]:
    """What dataset.json says beside its items."""
    return {
        "name": dataset.name,
        **asdict(terms_of(dataset)),
        "classes": {str(index): dataset.taxonomy[index].name for index in sorted(used - {BACKGROUND})},
    }


def _land_cover(dataset: LabelledDataset, seen: set[int]) -> list[str]:
    own = [dataset.taxonomy[index] for index in sorted(seen) if index not in earthsynth()]
    names = [category.name for category in own if not category.thing]
    return (
        [f"land cover of your own is written as countable, the layout cannot tell: {', '.join(names)}"] if names else []
    )


def _left_behind(dataset: LabelledDataset) -> list[str]:
    """What the layout has no place for, of every build among the datasets."""
    if isinstance(dataset, Merged):
        return [note for part in dataset.parts for note in _left_behind(part)]
    if isinstance(dataset, View):
        return _left_behind(dataset.base)
    if not isinstance(dataset, BuildReader):
        return []
    return [
        f"{dataset.root}: prompts, scores, seeds and targets of this build stay there, the layout has no place for them"
    ]
