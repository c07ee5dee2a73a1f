"""How an image came to be, in the image itself: IPTC's Digital Source Type as XMP, so that whoever meets the file can tell.

Terms: IPTC NewsCodes, http://cv.iptc.org/newscodes/digitalsourcetype/. Where it stands: PNG's iTXt chunk of the keyword
`XML:com.adobe.xmp`, JPEG's first APP1 segment of XMP (XMP specification, part 3).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import IO

from earthsynth_factory.io.stored import StoredFile

MAX_BYTES = 1 << 20
"""A larger packet is not looked at."""

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
PNG_KEYWORD = b"XML:com.adobe.xmp"
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_TYPE = re.compile(re.escape(VOCABULARY.encode()) + rb"([A-Za-z]{1,64})")


class DigitalSource(StrEnum):
    """IPTC's terms for what the factory makes. MIXED: a page of pictures that do not all say the same."""

    GENERATED = "trainedAlgorithmicMedia"
    EDITED = "compositeWithTrainedAlgorithmicMedia"
    COLLAGE = "compositeCapture"
    DRAWN = "algorithmicMedia"
    MIXED = "compositeSynthetic"


MEANING: Mapping[str, str] = {
    DigitalSource.GENERATED: "made by a model that learnt from data",
    DigitalSource.EDITED: "a real picture of which a model changed parts",
    DigitalSource.COLLAGE: "put together from real pictures",
    DigitalSource.DRAWN: "drawn by a program that learnt from no data",
    DigitalSource.MIXED: "put together from pictures of which some were made by a model",
    "digitalCapture": "taken by a digital camera",
    "composite": "put together from several elements",
}
"""Terms in words."""


def xmp_packet(source: str) -> bytes:
    """The XMP that says so; source: a term of the vocabulary."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'Iptc4xmpExt:DigitalSourceType="{VOCABULARY}{source}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def png_text(source: str) -> bytes:
    """The data of the iTXt chunk: keyword, not compressed, no language, the packet."""
    return PNG_KEYWORD + b"\0\0\0\0\0" + xmp_packet(source)


def png_chunk(name: bytes, data: bytes) -> bytes:
    """With its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def marked(data: bytes, source: str | None) -> bytes:
    """A PNG or JPEG file that says nothing yet, saying it; source: None for nothing to say."""
    if source is None:
        return data
    if data.startswith(_PNG):
        head = len(_PNG) + 25  # IHDR is the first chunk, of 13 bytes
        return data[:head] + png_chunk(b"iTXt", png_text(source)) + data[head:]
    packet = _JPEG_XMP + xmp_packet(source)
    return data[:2] + struct.pack(">HH", 0xFFE1, len(packet) + 2) + packet + data[2:]


def joint_source(terms: Iterable[str | None]) -> str | None:
    """What a page of pictures says: as all of them say, or that some are synthetic; None if none is."""
    found = set(terms)
    if not found & set(DigitalSource):
        return None
    return found.pop() if len(found) == 1 else DigitalSource.MIXED


def source_type_of(path: Path | StoredFile) -> str | None:
    """The term in a PNG or JPEG file, whoever wrote it; None if there is none. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(len(_PNG))
        packets = _png_packets(file) if start == _PNG else _jpeg_packets(file) if start[:2] == b"\xff\xd8" else iter(())
        match = next((found for packet in packets if (found := _TYPE.search(packet))), None)
    return match[1].decode() if match else None


def _png_packets(file: IO[bytes]) -> Iterator[bytes]:
    """file: behind the signature."""
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"iTXt" and length <= MAX_BYTES:
            data = file.read(length)
            if data.startswith(PNG_KEYWORD + b"\0"):
                yield data
            file.seek(4, 1)
        elif name == b"IEND":
            return
        else:
            file.seek(length + 4, 1)


def _jpeg_packets(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(2)
    while len(head := file.read(4)) == 4:
        marker, length = struct.unpack(">HH", head)
        if marker >> 8 != 0xFF or marker == 0xFFDA or length < 2:  # the picture itself begins
            return
        data = file.read(length - 2)
        if marker == 0xFFE1 and data.startswith(_JPEG_XMP):
            yield data
