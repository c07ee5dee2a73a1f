"""Seeded damage: to bytes, to text, to the values of JSON."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path
from typing import Any

import orjson

HOSTILE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**63, 2**64, -(2**63), 0.5, -0.0, 1e308, 1e-320, "", "0", "x" * 300, "../../x",
    "/etc/passwd", "..", ".", "a/b", "a\\b", "a\0b", "\x1b[2J", "\r", "=1+1", "é", "\u202e", [], {}, [[]], [None], {"": 1},
    [1, 2, 3], "C:x", "nan", "1e999", " ", "-", "\ufeff", 255, 65536, 10**18,
)  # fmt: skip


def damaged(path: Path, chance: random.Random) -> bytes:
    """The file's bytes with one thing wrong, or a few."""
    data = path.read_bytes()
    how = chance.random()
    if path.suffix in (".json", ".jsonl") and how < 0.75:
        return _json(data, chance, lines=path.suffix == ".jsonl")
    if path.suffix == ".png" and how < 0.5:
        return _checked(_bytes(data, chance))
    if path.suffix in (".txt", ".yaml", ".xml", ".csv") and how < 0.6:
        return _text(data, chance)
    return _bytes(data, chance)


def _json(data: bytes, chance: random.Random, lines: bool) -> bytes:
    pieces = data.splitlines(True) if lines else [data]
    at = chance.randrange(max(1, len(pieces)))
    try:
        document = orjson.loads(pieces[at])
    except (ValueError, IndexError):
        return _bytes(data, chance)
    for _ in range(chance.choice((1, 1, 1, 2))):
        document = changed(document, chance)
    pieces[at] = dumped(document) + b"\n"
    if lines and chance.random() < 0.1:
        pieces.insert(at, pieces[at])
    return b"".join(pieces)


def dumped(document: Any) -> bytes:
    """JSON; what orjson has no words for becomes the standard library's, which wrote `NaN` before it was JSON."""
    import json

    try:
        return orjson.dumps(document)
    except TypeError:
        return json.dumps(document).encode("utf-8", "surrogatepass")


def changed(document: Any, chance: random.Random) -> Any:
    """A copy of plain data with one value replaced, left out, doubled or renamed."""
    places = list(_places(document))
    if not places:
        return chance.choice(HOSTILE)
    holder, key = chance.choice(places)
    how = chance.random()
    if how < 0.6:
        holder[key] = chance.choice(HOSTILE)
    elif how < 0.75:
        del holder[key]
    elif how < 0.85 and isinstance(holder, dict):
        holder[str(chance.choice(HOSTILE))] = holder.pop(key)
    else:
        other, name = chance.choice(places)
        holder[key] = orjson.loads(orjson.dumps(other[name])) if _holds(other, name) else None
    return document


def _holds(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _places(document: Any) -> Any:
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in pairs:
        yield document, key
        yield from _places(value)


def _text(data: bytes, chance: random.Random) -> bytes:
    words = data.split(b" ")
    at = chance.randrange(len(words))
    new = str(chance.choice(HOSTILE)).encode("utf-8", "surrogatepass")
    how = chance.random()
    words[at : at + 1] = [new] if how < 0.6 else [] if how < 0.8 else [words[at]] * chance.choice((2, 50))
    return b" ".join(words)


def _bytes(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at, how = chance.randrange(len(found) + 1), chance.random()
        if how < 0.4 and at < len(found):
            found[at] = chance.randrange(256)
        elif how < 0.55:
            del found[at : at + chance.choice((1, 2, 16))]
        elif how < 0.7:
            found[at:at] = chance.randbytes(chance.choice((1, 4, 64)))
        elif how < 0.8:
            del found[at:]
        elif how < 0.9:
            found[at : at + 4] = struct.pack(">I", chance.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 65535)))
        else:
            found[at:at] = b"\0" * chance.choice((1, 400))
    return bytes(found)


def _checked(png: bytes) -> bytes:
    """The PNG with right check sums, so that the damage reaches what lies behind them."""
    found, at = bytearray(png[:8]), 8
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        if at + 12 + length > len(png):
            break
        found += png[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(found + png[at:])
