"""What a person reads: names of strangers, whose control characters are shown and not obeyed; and sizes in plain units."""

from __future__ import annotations


def printable(text: object) -> str:
    """The text with every character that is none to look at written as an escape; line breaks and tabs stay.

    >>> printable("ship\\x1b[2J")
    'ship\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in str(text))


def one_line(text: object) -> str:
    """As `printable`, line breaks and tabs shown too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def readable_size(count: float) -> str:
    """Bytes in the unit a person reads.

    >>> readable_size(4_260_000)
    '4.26 MB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
