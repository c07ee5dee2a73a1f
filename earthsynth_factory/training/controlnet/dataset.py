"""A folder in EarthSynth's layout as training samples, checked whole: every fault is listed before anything is learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.prepared.document import DatasetFile, read_about
from earthsynth_factory.datasets.prepared.masks import earthsynth_group
from earthsynth_factory.datasets.prepared.train_list import TrainLine, read_train_list
from earthsynth_factory.domain.partners import rarity
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.domain.taxonomy import IGNORE, MAX_ID, Taxonomy, earthsynth, make_category
from earthsynth_factory.errors import SourceError
from earthsynth_factory.training.controlnet.file_index import FileIndex, index_files
from earthsynth_factory.training.controlnet.spec import DataSpec

SHOWN = 200
"""Most faults in one message; how many more there are is said."""


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """One line of the list. ids: category ids in the mask, background included, what is ignored not. group: what no split may
    divide.

    metres_per_pixel: of the file; side: its shorter one, in pixels. source: the dataset's name in EarthSynth's stems.
    """

    image: Path
    mask: Path
    digest: str
    text: str
    ids: tuple[int, ...]
    colour_stats: tuple[float, ...]
    source: str
    group: str
    metres_per_pixel: float
    side: int
    whole: bool


@dataclass(frozen=True, eq=False, slots=True)
class TrainingDataset:
    """What is trained on (`samples`) and what is only looked at (`held_out`, whole samples of other scenes).

    lut: uint8 (256,), id in the mask files → category id. dense: whether background is no "unknown". about: a line on
    what it is, with its terms.
    """

    samples: tuple[TrainingSample, ...]
    held_out: tuple[TrainingSample, ...]
    taxonomy: Taxonomy
    lut: npt.NDArray[np.uint8]
    dense: bool
    about: str

    def categories(self) -> tuple[int, ...]:
        """Ids of all categories in the training masks, background left out."""
        return tuple(sorted({i for sample in self.samples for i in sample.ids} - {0}))

    def rarity(self) -> npt.NDArray[np.float64]:
        """(256,), see `partners.rarity`."""
        return rarity(np.bincount([i for sample in self.samples for i in sample.ids], minlength=256))

    def things(self) -> npt.NDArray[np.bool_]:
        """(256,), which categories are countable objects."""
        table = np.zeros(256, bool)
        table[[category.id for category in self.taxonomy if category.thing]] = True
        return table


def open_training_data(root: Path, spec: DataSpec, index: Path, seed: int, threads: int = 4) -> TrainingDataset:
    """The dataset in `root`. Raises SourceError with every fault found in it."""
    about = read_about(root)
    taxonomy, lut = classes_by_name(about)
    records, faults = read_train_list(root)
    facts = index_files(root, (r.image for r in records), (r.mask for r in records), index, threads)
    faults += [*facts.faults, *_contradictions(records, facts, lut)]
    if faults:
        raise SourceError(_listed(root, faults))
    samples = [_sample(record, facts, about, lut, spec) for record in records]
    held = _held_out(samples, records, about, spec.held_out, seed)
    kept = tuple(s for s in samples if s.group not in held)
    if not kept:
        raise SourceError(f"{root}: all {len(samples)} samples are held out; lower data.held_out")
    looked_at = tuple(s for s in samples if s.group in held and s.whole)
    described = f"{about.name} ({about.licence})" if about else root.name
    return TrainingDataset(kept, looked_at, taxonomy, lut, bool(about and about.dense), described)


def classes_by_name(about: DatasetFile | None) -> tuple[Taxonomy, npt.NDArray[np.uint8]]:
    """The taxonomy and the way from file ids to its ids; `IGNORE` marks what is no category.

    Without dataset.json the ids are EarthSynth's. With it names decide: one that EarthSynth has takes its id, another
    is a class of the dataset's own and keeps its number if that is above 68 and free, else takes the next free one.
    """
    lut = np.full(256, IGNORE, np.uint8)
    taxonomy = earthsynth()
    lut[0] = 0
    if about is None:
        lut[: len(taxonomy.categories)] = range(len(taxonomy.categories))
        return taxonomy, lut
    for file_id, name in sorted(about.classes.items()):
        if not 0 <= file_id <= MAX_ID:
            raise SourceError(f"dataset.json: class {name!r}: id {file_id} is outside 0–{MAX_ID}; prepare it again")
        category = taxonomy.find(name)
        if category is None:
            taken = {c.id for c in taxonomy}
            free = [file_id] if file_id not in taken else [i for i in range(MAX_ID + 1) if i not in taken]
            if not free:
                raise SourceError(f"dataset.json: class {name!r}: no id below {MAX_ID} is free; drop classes")
            taxonomy = taxonomy.extended([make_category(free[0], name)])
            category = taxonomy[free[0]]
        lut[file_id] = category.id
    return taxonomy, lut


def _contradictions(records: Iterable[TrainLine], facts: FileIndex, lut: npt.NDArray[np.uint8]) -> Iterable[str]:
    """Image and mask of different size, and ids that no category has."""
    for record in records:
        image, mask = facts.images.get(record.image), facts.masks.get(record.mask)
        if image is None or mask is None:
            continue
        if (image.height, image.width) != (mask.height, mask.width):
            yield (
                f"{record.place}: {record.image.name} has {image.width}×{image.height} pixels, its mask "
                f"{record.mask.name} {mask.width}×{mask.height}; they must be of one size"
            )
        strange = [i for i in mask.ids if i > IGNORE or (lut[i] == IGNORE and i != IGNORE)]
        if strange:
            yield (
                f"{record.place}: {record.mask.name} holds the ids {', '.join(map(str, strange[:8]))}, which no category "
                "has; name them under classes in dataset.json, or mend the mask"
            )


def _sample(
    record: TrainLine, facts: FileIndex, about: DatasetFile | None, lut: npt.NDArray[np.uint8], spec: DataSpec
) -> TrainingSample:
    item = about.items.get(record.scene) if about else None
    image = facts.images[record.image]
    return TrainingSample(
        image=record.image,
        mask=record.mask,
        digest=image.digest,
        text=record.text,
        ids=tuple(sorted({int(lut[i]) for i in facts.masks[record.mask].ids} - {IGNORE})),
        colour_stats=image.colour_stats,
        source=record.scene.partition("_")[0],
        group=item.group if item else earthsynth_group(record.scene),
        metres_per_pixel=(item.metres_per_pixel if item else None) or spec.metres_per_pixel,
        side=min(image.height, image.width),
        whole=record.whole,
    )


def _held_out(
    samples: list[TrainingSample], records: list[TrainLine], about: DatasetFile | None, share: float, seed: int
) -> set[str]:
    """Groups kept from training: those of other splits in dataset.json; if there are none, a drawn share."""
    if about:
        splits = {sample.group: about.items.get(record.scene) for sample, record in zip(samples, records, strict=True)}
        named = {group for group, item in splits.items() if item and item.split not in (None, "train")}
        if named:
            return named
    return _drawn(Counter(sample.group for sample in samples), share, seed)


def _drawn(sizes: Mapping[str, int], share: float, seed: int) -> set[str]:
    """Groups that together hold no more than `share` of the samples, in drawn order; the smallest if all are larger."""
    if not share or len(sizes) < 2:
        return set()
    order = sorted(sizes, key=lambda group: derive(seed, "held out", group))
    held: set[str] = set()
    room = share * sum(sizes.values())
    for group in order:
        if sizes[group] <= room:
            held.add(group)
            room -= sizes[group]
    return held or {min(order, key=lambda group: sizes[group])}


def _listed(root: Path, faults: list[str]) -> str:
    more = f"\n… and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    count = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
    return f"{root}: {count} in the dataset\n" + "\n".join(faults[:SHOWN]) + more
