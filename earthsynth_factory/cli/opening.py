"""Something that moves from a command's first moment: what it imports takes seconds on a laptop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def opening() -> Iterator[None]:
    """Show a spinner on stderr until the block ends; nothing if that is no terminal. Imports rich alone."""
    from earthsynth_factory.io.log import console

    with console().status("starting"):
        yield
