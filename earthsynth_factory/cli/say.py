"""The one way from a command to a terminal: names of strangers pass through it, and their control characters stay behind."""

from __future__ import annotations

import typer


def say(text: object = "", err: bool = False, nl: bool = True) -> None:
    """Print, every control character but line breaks and tabs shown as an escape."""
    from earthsynth_factory.io.printable import printable

    typer.echo(printable(text), err=err, nl=nl)
