"""Small text files of strangers: bounded, with whatever mark of order or encoding their writer left."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson

from earthsynth_factory.errors import SourceError

MAX_JSON_BYTES = 1 << 29
"""Largest JSON that is parsed in one piece, in bytes; lists of objects are read piece by piece (`json_pieces`)."""

MAX_TEXT_BYTES = 1 << 26
"""Largest other file that is read, in bytes."""

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._\-]+)["'][^>]*\?>""")


def read_text(path: Path) -> str:
    """The text of a small file; what is no UTF-8 is taken for Latin-1. Raises `SourceError`: missing or too large."""
    return _decoded(_read(path, MAX_TEXT_BYTES))


def read_lines(path: Path) -> list[str]:
    """As `read_text`, by lines."""
    return read_text(path).splitlines()


def read_names(path: Path) -> list[str]:
    """The lines that hold something, trimmed: a list of names."""
    return [line.strip() for line in read_lines(path) if line.strip()]


def read_json(path: Path) -> Any:
    """Raises `SourceError` naming the file: missing, too large, or malformed (with the place)."""
    return parse_json(_read(path, MAX_JSON_BYTES), path)


def parse_json(data: bytes, path: Path) -> Any:
    """As `read_json`. NaN and Infinity, which some writers leave, are read as such."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(_decoded(data))
        except (ValueError, RecursionError):
            place = f"{path}:{error.lineno}:{error.colno}"
            raise SourceError(f"{place}: malformed JSON ({error.msg})") from error


def read_xml(path: Path) -> ElementTree.Element:
    """The root element. Raises `SourceError`: missing, too large, malformed (with the line), or with entities."""
    data = _read(path, MAX_TEXT_BYTES)
    if b"<!ENTITY" in data or b"<!DOCTYPE" in data:
        raise SourceError(f"{path}: declares entities, which no annotation needs; refused")
    try:
        return ElementTree.fromstring(_in_utf8(data))
    except ElementTree.ParseError as error:
        raise SourceError(f"{path}:{error.position[0]}: malformed XML ({error}); save it as UTF-8") from error
    except (LookupError, ValueError) as error:
        raise SourceError(f"{path}: malformed XML ({error}); save it as UTF-8") from error


def _in_utf8(data: bytes) -> bytes:
    """XML in an encoding that its parser lacks (GB2312, Shift-JIS …), brought to UTF-8 without its declaration."""
    declared = _DECLARED.match(data)
    if declared is None or declared[1].lower() in (b"utf-8", b"utf-16", b"us-ascii", b"iso-8859-1"):
        return data
    name = declared[1].decode("ascii")
    if not codecs.lookup(name)._is_text_encoding:
        raise LookupError(f"unknown encoding {name!r}")
    # GB2312 is what writers say that use its superset.
    text = data[declared.end() :].decode("gb18030" if name.lower().startswith("gb") else name)
    return text.encode()


def _decoded(data: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace").lstrip("\ufeff")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # every byte is a letter there: wrong ones are seen as a class or a name


def _read(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise SourceError(f"{path}: larger than {limit} bytes; split it")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
