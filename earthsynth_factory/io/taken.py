"""When a picture was taken, if its file says so, and how that is written: ISO 8601, `2024-05-01T10:11:12Z`, or a day alone.

A time without a zone is taken for UTC, as satellites' files mean it. TIFF's own `DateTime` is not asked: it is when a program
wrote the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

FIRST, LAST = 1839, 2200
"""Years that a picture may be of: the first photographs are of 1839."""

NAMES = (
    "ACQUISITIONDATETIME",  # GDAL's own word, in its domain IMAGERY
    "ACQUISITION_DATETIME",
    "SENSING_TIME",  # Sentinel-2
    "EXIF_DATETIMEORIGINAL",
    "NITF_IDATIM",
    "DATE_ACQUIRED",  # Landsat
    "ACQUISITION_DATE",
    "ACQUISITIONDATE",
)
"""Names of tags that tell it, in capitals, the first that is there and makes sense."""

_TEXT = re.compile(
    r"(\d{4})[-:/]?(\d\d)[-:/]?(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?\s?(?:UTC)?(Z|[-+]\d\d:?\d\d)?)?"
)


def taken_at(tags: Iterable[Mapping[str, str]]) -> str | None:
    """From the tags of a file, domain by domain."""
    found = {key.upper(): value for domain in tags for key, value in domain.items()}
    return next((time for name in NAMES if (time := iso_time(found.get(name, "")))), None)


def iso_time(text: str) -> str | None:
    """A time or a day as ISO 8601 in UTC, to the second; None for a text that is neither.

    >>> iso_time("2024:05:01 10:11:12"), iso_time("20240501"), iso_time("2024-05-01T10:11:12.5+02:00"), iso_time("soon")
    ('2024-05-01T10:11:12Z', '2024-05-01', '2024-05-01T08:11:12Z', None)
    """
    match = _TEXT.fullmatch(text.strip()[:40])
    if match is None:
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    try:
        begun = datetime(*map(int, (year, month, day, hour or 0, minute or 0, second or 0)), tzinfo=UTC)  # type: ignore[misc,arg-type]
        offset = datetime.strptime(zone.replace(":", ""), "%z").utcoffset() if zone and zone != "Z" else None
        found = begun - offset if offset else begun
    except (ValueError, OverflowError):
        return None
    if not FIRST <= found.year <= LAST:
        return None
    return found.strftime("%Y-%m-%dT%H:%M:%SZ") if hour else found.strftime("%Y-%m-%d")
