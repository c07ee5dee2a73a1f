"""Whether everything is there that an export is to be made of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import SampleRecord
from earthsynth_factory.errors import SourceError, StoreError
from earthsynth_factory.geometry.rle import RunLengthError
from earthsynth_factory.geometry.rle_check import check_runs

NAMED = 5
"""This many missing files are named; the others are counted."""

TOGETHER = 64
"""Images whose objects are looked at in one go."""


def check_finished(dataset: LabelledDataset) -> None:
    """Raises StoreError if `dataset` is a build whose shards are not all committed."""
    if not isinstance(dataset, BuildReader):
        return
    done, shards = dataset.shards
    if done < shards:
        raise StoreError(
            f"{dataset.root}: this build is not finished, {done} of {shards} shards are committed; run the same build "
            "command again, or give --partial to take the images that are recorded so far"
        )


def check_masters(dataset: LabelledDataset) -> int:
    """The number of images. Raises SourceError naming those whose file is missing, and objects whose run lengths are none."""
    count, missing = 0, []
    samples = dataset.samples()
    while records := list(islice(samples, TOGETHER)):
        count += len(records)
        _check_objects(dataset, records)
        files = (dataset.image_file(record) for record in records)
        missing += [str(file) for file in files if not file.is_file()]
    if missing:
        more = f"\nand {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise SourceError(
            f"{len(missing)} of {count} images are missing, bring them back or build again:\n"
            + "\n".join(missing[:NAMED])
            + more
        )
    return count


def _check_objects(dataset: LabelledDataset, records: Sequence[SampleRecord]) -> None:
    """Look at the run lengths of all objects at once; one image after the other only to name the one that is at fault."""
    for (height, width), alike in groupby(records, key=lambda record: (record.height, record.width)):
        of_size = list(alike)
        try:
            check_runs([instance.rle for record in of_size for instance in record.instances], height, width)
        except RunLengthError as error:
            if len(of_size) > 1:
                for record in of_size:
                    _check_objects(dataset, [record])
            raise SourceError(f"{dataset.root}: {of_size[0].stem}: {error}; prepare or build it again") from error
