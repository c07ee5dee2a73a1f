"""`pack OUT`, `unpack OUT`: a build's masters as a tar a shard, or as three files an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earthsynth_factory.cli.say import say

Folder = Annotated[Path, typer.Argument(help="Output folder of a build, on this machine.")]


def pack_masters(folder: Folder) -> None:
    """Put the files of a build's images into a tar for each shard."""
    _change(folder, packed=True)


def unpack_masters(folder: Folder) -> None:
    """Make loose files again of what is packed."""
    _change(folder, packed=False)


def _change(folder: Path, *, packed: bool) -> None:
    from earthsynth_factory.build.packing import pack_shards, unpack_shards
    from earthsynth_factory.cli.progress import image_progress
    from earthsynth_factory.datasets.build.reader import BuildReader
    from earthsynth_factory.errors import InputError
    from earthsynth_factory.io.objects import ObjectAddress

    if address := ObjectAddress.of(folder):
        raise InputError(
            f"{address}: lies in an object store; build it there with --set store.pack={str(packed).lower()}"
        )
    with image_progress(BuildReader(folder).shards[1], "shards") as advance:
        done = (pack_shards if packed else unpack_shards)(folder, advance)
    form = "packed" if packed else "loose files"
    left = f"; {done.open} are not finished and were left as they are" if done.open else ""
    say(f"{folder}: {done.changed} shards are {form} now{left}" if done.changed else f"{folder}: nothing to do{left}")
