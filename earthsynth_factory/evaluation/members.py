"""Which images an evaluation is made of, and what each is for; what test images have in common with training is kept out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.completeness import check_finished
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.datasets.merged import Merged, MergedRecord
from earthsynth_factory.datasets.open import open_dataset
from earthsynth_factory.datasets.splitting import Leaks, find_leaks, groups_for, split_groups, thumbnails_of
from earthsynth_factory.datasets.views import Resplit, View
from earthsynth_factory.errors import InputError
from earthsynth_factory.evaluation.result_folder import compared_dataset
from earthsynth_factory.evaluation.spec import EvaluationRecipe

TRAIN, VAL, TEST, SYNTHETIC, COMPARED = PARTS = ("train", "val", "test", "synthetic", "compared")
"""In this order leaks are looked for: the later part's images each name their like in the earlier ones."""
HELD_OUT = (VAL, TEST)
MADE = (SYNTHETIC, COMPARED)

SHARES = {TRAIN: 0.6, VAL: 0.2, TEST: 0.2}
"""Of the scenes, if a dataset has no splits of its own."""
VAL_SHARE = {TRAIN: 0.8, VAL: 0.2}
"""Of the training scenes, if a dataset has a test split and no val."""
EXAMPLES = 3
CHANCE = 0.02
"""Of the test images may look like a training image, which is then left out: bare water does. More is a leak."""


@dataclass(frozen=True)
class Members:
    """The datasets as one, and the records of each part. notes: sentences about what was made, left out or found."""

    dataset: Merged
    records: Mapping[str, tuple[MergedRecord, ...]]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def gather(recipe: EvaluationRecipe, progress: Callable[[int], None]) -> Members:
    """Open, split and compare. Raises InputError if a split is missing or leaks, StoreError and SourceError from reading."""
    real, notes = _with_splits(_opened(recipe.real), recipe.seed, progress)
    paths = [*recipe.synthetic, *(() if recipe.compare is None else compared_dataset(recipe.compare))]
    made = [_opened(path) for path in paths]
    roles = _Roles(Merged([real, *made]), len(recipe.synthetic))
    with thumbnails_of(roles, progress) as looks:
        leaks = find_leaks(roles, looks)
    records: defaultdict[str, list[MergedRecord]] = defaultdict(list)
    for record in roles.samples():
        assert isinstance(record, MergedRecord)
        records[record.split].append(record)
    warnings = _real_leaks(records, leaks, recipe)
    notes += [*_leave_out_twins(records, leaks, recipe), *_leave_out(records, leaks)]
    for part in (TRAIN, SYNTHETIC, VAL, TEST):
        if not records[part]:
            raise InputError(
                f"{_place(part, recipe)}: no image is left for {part}; {'; '.join(notes) or 'it is empty'}"
            )
    warnings += _card_warnings(made, paths, real, {record.origin.group for record in records[TEST]})
    return Members(roles.base_merged, {part: tuple(records[part]) for part in PARTS}, tuple(notes), tuple(warnings))


class _Roles(View):
    """The merged datasets with what an image is for in the place of its split."""

    def __init__(self, merged: Merged, made: int) -> None:
        super().__init__(merged)
        self.base_merged, self._made = merged, made

    @property
    def splits(self) -> list[str]:
        return list(PARTS)

    def samples(self) -> Iterator[SampleRecord]:
        for record in self.base_merged.samples():
            role = record.split if record.part == 0 else SYNTHETIC if record.part <= self._made else COMPARED
            if role in PARTS:
                yield replace(record, split=role)


def _opened(path: Path) -> LabelledDataset:
    dataset = open_dataset(path)
    check_finished(dataset)
    return dataset


def _with_splits(
    real: LabelledDataset, seed: int, progress: Callable[[int], None]
) -> tuple[LabelledDataset, list[str]]:
    """`real` with train, val and test. Raises InputError if a test split can neither be found nor be made."""
    found = set(real.splits)
    if found == {TRAIN}:
        split_of = _dealt_out(real, SHARES, seed, progress)
        return Resplit(real, split_of, list(SHARES)), [f"{real.root}: had no splits; scenes were dealt out 3 : 1 : 1"]
    missing = [split for split in (TRAIN, TEST) if split not in found]
    if missing:
        raise InputError(
            f"{real.root}: has no {' and no '.join(missing)} split, only {', '.join(sorted(found))}; split it by scene: "
            f"`earthsynth-factory split {real.root} --ratios 0.6,0.2,0.2 --out DIR`"
        )
    notes = [f"{real.root}: its split {split!r} is not used" for split in sorted(found - {*SHARES})]
    if VAL in found:
        return real, notes
    return _ValFromTrain(real, seed, progress), [
        *notes,
        f"{real.root}: has no val split; a fifth of the training scenes became it",
    ]


def _dealt_out(
    dataset: LabelledDataset, shares: Mapping[str, float], seed: int, progress: Callable[[int], None]
) -> dict[str, str]:
    groups = groups_for(dataset, shares)
    with thumbnails_of(dataset, progress) as looks:
        return split_groups(dataset, groups, looks, shares, seed)


class _ValFromTrain(View):
    """Some scenes of train as val. Raises InputError if train has a single scene."""

    def __init__(self, base: LabelledDataset, seed: int, progress: Callable[[int], None]) -> None:
        super().__init__(base)
        self._split_of = _dealt_out(_OnlyTrain(base), VAL_SHARE, seed, progress)

    @property
    def splits(self) -> list[str]:
        return list(SHARES)

    def samples(self) -> Iterator[SampleRecord]:
        for record in self.base.samples():
            part = self._split_of.get(record.origin.group, TRAIN) if record.split == TRAIN else record.split
            yield replace(record, split=part)


class _OnlyTrain(View):
    def samples(self) -> Iterator[SampleRecord]:
        return (record for record in self.base.samples() if record.split == TRAIN)


def _real_leaks(records: Mapping[str, Sequence[MergedRecord]], leaks: Leaks, recipe: EvaluationRecipe) -> list[str]:
    """What test shares with train and val. Raises InputError for a shared scene, or many images that look the same,
    unless the recipe allows it."""
    scenes = {part: {record.origin.group for record in records[part]} for part in (TRAIN, VAL, TEST)}
    torn = [
        f"scene {scene!r} is in {one} and {other}"
        for one, other in ((TRAIN, TEST), (VAL, TEST), (TRAIN, VAL))
        for scene in sorted(scenes[one] & scenes[other])
    ]
    alike = [f"{'/'.join(one)} and {'/'.join(other)} look the same" for one, other in _twins(leaks)]
    if not torn and len(alike) <= CHANCE * len(records[TEST]):
        return []
    warning = f"the splits leak: {_some(torn + alike)}"
    if recipe.allow_leaks:
        return [warning]
    raise InputError(
        f"{recipe.real}: {warning}; split it anew (`earthsynth-factory split` keeps such images together), or give "
        "--allow-leaks to go on with figures that are too high in every arm"
    )


def _twins(leaks: Leaks) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Images of train and val with a test image that looks the same."""
    return [(one, other) for one, other in leaks.alike if one[0] in (TRAIN, VAL) and other[0] == TEST]


def _leave_out_twins(records: dict[str, list[MergedRecord]], leaks: Leaks, recipe: EvaluationRecipe) -> list[str]:
    """Take the few training images that look like a test image, by chance or not, from train and val."""
    found = set() if recipe.allow_leaks else {one for one, _ in _twins(leaks)}
    for part in (TRAIN, VAL):
        records[part] = [record for record in records[part] if (part, record.stem) not in found]
    return [f"{len(found)} real images left out: they look like a test image"] if found else []


def _leave_out(records: dict[str, list[MergedRecord]], leaks: Leaks) -> list[str]:
    """Take from the made images what shows or comes from scenes of val and test; tell how many."""
    held = {record.origin.group for part in HELD_OUT for record in records[part]}
    twins = {other for one, other in leaks.alike if one[0] in HELD_OUT and other[0] in MADE}
    notes = []
    for part in MADE:
        kept, counts = [], Counter[str]()
        for record in records[part]:
            if record.origin.group in held:
                counts["come from scenes of val or test"] += 1
            elif (part, record.stem) in twins:
                counts["look like an image of val or test"] += 1
            else:
                kept.append(record)
        records[part] = kept
        notes += [f"{count} {part} images left out: they {why}" for why, count in sorted(counts.items())]
    same = sum(1 for one, other in leaks.alike if one[0] == TRAIN and other[0] == SYNTHETIC)
    return notes + ([f"{same} synthetic images look like a real training image"] if same else [])


def _card_warnings(
    made: Sequence[LabelledDataset], paths: Sequence[Path], real: LabelledDataset, scenes: set[str]
) -> list[str]:
    """What the generator's card says it learnt from, if that may hold the test scenes."""
    found = []
    for dataset, path in zip(made, paths, strict=True):
        learnt_from = dataset.run.line.training_data if isinstance(dataset, BuildReader) else []
        for entry in learnt_from:
            if entry.lower().startswith(real.name.lower()) or any(f"scene {scene}" in entry for scene in scenes):
                found.append(
                    f"{path}: the generator's card says that it learnt from {entry!r}, which may hold the test scenes: "
                    "its images may know what the test asks"
                )
    return found


def _place(part: str, recipe: EvaluationRecipe) -> str:
    return ", ".join(map(str, recipe.synthetic)) if part == SYNTHETIC else str(recipe.real)


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - EXAMPLES} more" if len(items) > EXAMPLES else ""
    return ", ".join(items[:EXAMPLES]) + more
