"""A dataset written into a new folder of its own, as `split` and `merge` do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earthsynth_factory.cli.say import say

if TYPE_CHECKING:
    from earthsynth_factory.datasets.base import LabelledDataset


def write_folder(dataset: LabelledDataset, out: Path, command: str, settings: Mapping[str, Any]) -> None:
    """Write the prepared layout and say so; what the same command finished before is left as it is.

    settings: what the user asked for. Raises StoreError where `out` holds anything else, SourceError, DiskError.
    """
    from earthsynth_factory.cli.progress import image_progress
    from earthsynth_factory.datasets.build.completeness import check_masters
    from earthsynth_factory.datasets.prepared.layout import FOLDERS
    from earthsynth_factory.exports.prepared import PreparedSpec
    from earthsynth_factory.exports.write import content_of, write_format
    from earthsynth_factory.io.claim import claimed

    with claimed(out, command, {**settings, "content": content_of(dataset)}, folders=FOLDERS) as claim:
        if claim.done(""):
            say(f"{out}: is written already, from the same images with the same options; nothing was changed")
            return
        with image_progress(check_masters(dataset), "writing") as advance:
            claim.begin()
            summary = write_format(dataset, PreparedSpec(), out, advance)
            claim.finish("")
    say(f"{out}: {', '.join(f'{split} {count}' for split, count in summary.counts.items())}")
    for note in summary.notes:
        say(f"  note: {note}")
