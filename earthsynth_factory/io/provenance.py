"""How an image came to be, in the image itself: IPTC's Digital Source Type as XMP, so that whoever meets the file can tell.

Terms: IPTC NewsCodes, http://cv.iptc.org/newscodes/digitalsourcetype/. Where it stands: PNG's iTXt chunk of the keyword
`XML:com.adobe.xmp`, JPEG's first APP1 segment of XMP (XMP specification, part 3).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import IO

MAX_BYTES = 1 << 20
"""A larger packet is not looked at."""

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
PNG_KEYWORD = b"XML:com.adobe.xmp"
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_TYPE = re.compile(re.escape(VOCABULARY.encode()) + rb"([A-Za-z]{1,64})")


class DigitalSource(StrEnum):
    """IPTC's terms for what the factory makes."""

    GENERATED = "trainedAlgorithmicMedia"
    EDITED = "compositeWithTrainedAlgorithmicMedia"
    COLLAGE = "compositeCapture"
    DRAWN = "algorithmicMedia"


MEANING: Mapping[str, str] = {
    DigitalSource.GENERATED: "made by a model that learnt from data",
    DigitalSource.EDITED: "a real picture of which a model changed parts",
    DigitalSource.COLLAGE: "put together from real pictures",
    DigitalSource.DRAWN: "drawn by a program that learnt from no data",
    "digitalCapture": "taken by a digital camera",
    "composite": "put together from several elements",
}
"""Terms in words."""


def xmp_packet(source: DigitalSource) -> bytes:
    """The XMP that says so."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'Iptc4xmpExt:DigitalSourceType="{VOCABULARY}{source}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def png_text(source: DigitalSource) -> bytes:
    """The data of the iTXt chunk: keyword, not compressed, no language, the packet."""
    return PNG_KEYWORD + b"\0\0\0\0\0" + xmp_packet(source)


def source_type_of(path: Path) -> str | None:
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
