"""HTML that is safe by construction: whatever is not `Html` already is escaped when it is put on the page."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, marks that turn the direction of writing, and halves of characters: a name made of them could pose as another."""

_VOID = {"img", "meta", "input", "rect", "path", "line"}


class Html(str):
    """Markup of ours; it goes onto the page as it is."""

    __slots__ = ()


def plain(text: str, most: int = 400) -> str:
    """A text of others, at most `most` characters, with what cannot be seen made visible. Not yet escaped."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return _UNSEEN.sub("\ufffd", cut)


def escaped(text: str) -> Html:
    """The text for a place between tags or in a quoted attribute; `Html` stays as it is."""
    return text if isinstance(text, Html) else Html(html.escape(plain(text, 100_000)))


def joined(parts: Iterable[str], between: str = "") -> Html:
    """The parts one after the other, each escaped unless it is `Html`."""
    return Html(between.join(escaped(part) for part in parts))


def tag(name: str, *children: str, **attributes: str | int | float | bool | None) -> Html:
    """An element. Attributes: `class_` → `class`, `data_id` → `data-id`; True stands bare, None and False are left out."""
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if name in _VOID:
        return Html(f"<{name}{written}/>" if name in ("rect", "path", "line") else f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def _attribute(key: str, value: str | int | float | bool | None) -> str:
    if value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f" {name}" if value is True else f' {name}="{html.escape(plain(text, 1_000_000))}"'


def island(data: object) -> Html:
    """JSON for a `<script type="application/json">`: no character in it can end the element."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Html(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def table(head: Iterable[str], rows: Iterable[Html], label: str) -> Html:
    """A table in a box of its own that scrolls sideways, so that the page never does. rows: `<tr>` each."""
    header = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    inner = tag("table", tag("thead", header), tag("tbody", *rows))
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=label)


def facts(rows: Iterable[tuple[str, str]]) -> Html:
    """Names and values as a list of terms."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows))


def count(number: int) -> str:
    """12345 → `12,345`."""
    return f"{number:,}"


def counted(number: int, word: str) -> str:
    """`1 image`, `2,000 images`."""
    return f"{count(number)} {word}" if number == 1 else f"{count(number)} {word}s"


def number(value: float, digits: int = 4) -> str:
    """`−0.2371`, with a real minus."""
    return f"{value:.{digits}g}".replace("-", "−")


def share(part: int, whole: int) -> str:
    """`95 %`; a dash if there is no whole."""
    return f"{100 * part / whole:.0f} %" if whole else "–"
