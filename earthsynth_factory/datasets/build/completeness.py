"""Whether everything is there that an export is to be made of."""

from __future__ import annotations

from earthsynth_factory.datasets.base import LabelledDataset
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.errors import SourceError, StoreError
from earthsynth_factory.geometry.rle import RunLengthError
from earthsynth_factory.geometry.rle_check import check_runs

NAMED = 5
"""This many missing files are named; the others are counted."""


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
    for record in dataset.samples():
        count += 1
        try:
            check_runs([instance.rle for instance in record.instances], record.height, record.width)
        except RunLengthError as error:
            raise SourceError(f"{dataset.root}: {record.stem}: {error}; prepare or build it again") from error
        file = dataset.image_file(record)
        if not file.is_file():
            missing.append(str(file))
    if missing:
        more = f"\nand {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise SourceError(
            f"{len(missing)} of {count} images are missing, bring them back or build again:\n"
            + "\n".join(missing[:NAMED])
            + more
        )
    return count
