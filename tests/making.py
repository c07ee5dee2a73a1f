"""Small conditions, candidates and output folders for tests."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.build.layout import BuildLayout
from earthsynth_factory.datasets.build.records import SampleRecord, to_line
from earthsynth_factory.datasets.build.run_record import FORMAT
from earthsynth_factory.domain.condition import Condition, InstanceMap, Mask, Origin
from earthsynth_factory.domain.sample import Candidate, Sample, Slot, Verdict
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.png import encode_mask, encode_png
from earthsynth_factory.labels.from_condition import LabelSpec, map_labels

SHIP, TANK, WATER = 17, 25, 6
SHARD_SIZE = 4


def make_condition(size: int = 48, seed: int = 0, things: bool = True) -> Condition:
    """Water with a holed tank (id 7), a ship in two parts (id 3) and one at the border (id 9), shifted by the seed."""
    mask, ids = np.full((size, size), WATER, np.uint8), np.zeros((size, size), np.uint16)
    if things:
        shift = seed % 5
        _draw(mask, ids, (slice(4 + shift, 20 + shift), slice(4, 20)), TANK, 7)
        hole = slice(9 + shift, 14 + shift), slice(9, 14)
        mask[hole], ids[hole] = WATER, 0
        _draw(mask, ids, (slice(30, 35), slice(5, 12)), SHIP, 3)
        _draw(mask, ids, (slice(30, 35), slice(15, 22)), SHIP, 3)
        _draw(mask, ids, (slice(40, size), slice(30, 36)), SHIP, 9)
    return Condition(mask, ids, "A satellite image of water", 0.5, seed, Origin("made", f"group{seed}"))


def _draw(mask: Mask, ids: InstanceMap, at: tuple[slice, slice], kind: int, own: int) -> None:
    mask[at], ids[at] = kind, own


def make_image(seed: int, size: int = 48) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(20, 230, (size, size, 3), dtype=np.uint8)


def make_candidate(
    index: int = 0, split: str = "train", things: bool = True, category: int | None = SHIP, size: int = 48
) -> Candidate:
    slot = Slot(index, category if things else None, split, seed=index)
    return Candidate(slot, 0, index, make_condition(size, seed=index, things=things), make_image(index, size))


def make_sample(index: int, split: str, things: bool = True) -> Sample:
    candidate = make_candidate(index, split, things)
    return Sample(candidate, Verdict({}, 0.0), map_labels(candidate.condition, LabelSpec(), earthsynth()))


def make_store(root: Path, count: int = 6) -> Path:
    """An output folder: slots 0 … count − 1, every third one in `val`, every fifth one a negative."""
    write_run(root)
    layout = BuildLayout(root)
    for index in range(count):
        sample = make_sample(index, "val" if index % 3 == 2 else "train", things=index % 5 != 4)
        shard, stem = layout.shard(index // SHARD_SIZE), sample.candidate.slot.stem
        write_bytes(shard.image(stem), encode_png(sample.candidate.image))
        write_bytes(shard.mask(stem), encode_mask(sample.labels.semantic, earthsynth()))
        write_bytes(shard.instances(stem), encode_png(sample.labels.instance_map))
        with shard.samples.open("ab") as journal:
            journal.write(to_line(SampleRecord.of(sample)))
    return root


def write_run(root: Path, shard_size: int = SHARD_SIZE) -> None:
    write_json(
        BuildLayout(root).run,
        {
            "format": FORMAT,
            "version": 1,
            "name": "made",
            "recipe": {"categories": []},
            "identity": {},
            "images": 0,
            "software": {},
            "fingerprint": "0123456789abcdef",
            "taxonomy": [asdict(category) for category in earthsynth()],
            "targets": [SHIP, TANK],
            "splits": ["train", "val"],
            "shard_size": shard_size,
        },
    )
