"""Names of strangers as a terminal, a log or a text file may show them: control characters are shown, not obeyed."""

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
