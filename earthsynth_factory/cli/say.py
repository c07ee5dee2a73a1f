"""The one way from a command to a terminal: names of strangers pass through it, and their control characters stay behind.

On a terminal lines end between two words; what is no terminal gets them as they are.
"""

from __future__ import annotations

import sys

import typer


def say(text: object = "", err: bool = False, nl: bool = True, after: int = 0) -> None:
    """Print, every control character but line breaks and tabs shown as an escape. after: columns taken already."""
    from earthsynth_factory.io.printable import printable

    shown = printable(text)
    if nl and (sys.stderr if err else sys.stdout).isatty():
        shown = "\n".join(_wrapped(line, after if place == 0 else 0) for place, line in enumerate(shown.split("\n")))
    typer.echo(shown, err=err, nl=nl)


def say_aside(text: str) -> None:
    """As `say`, to stderr: what goes on, not what came of it."""
    say(text, err=True)


def _wrapped(line: str, after: int) -> str:
    """A line with breaks between words, what follows a little further in; a word wider than the terminal stays whole."""
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns
    inner = line.lstrip(" ")
    start = " " * (len(line) - len(inner))
    if after + len(line) <= width or not inner:
        return line
    return textwrap.fill(
        inner,
        width,
        initial_indent=" " * after + start,
        subsequent_indent=start + "  ",
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )[after:]
