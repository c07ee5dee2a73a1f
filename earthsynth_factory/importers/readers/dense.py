"""What the readers of dense label images share: a table of the file's ids or colours, in words."""

from __future__ import annotations

from collections.abc import Mapping

from earthsynth_factory.importers.classes import ClassMap


def ids_table(words: Mapping[int, str], classes: ClassMap) -> dict[int, int]:
    """Id in the file → category id; what the map file says of an id stands above the dataset's own table."""
    return {file_id: classes.id_of(word) for file_id, word in words.items()} | dict(classes.ids)


def colours_table(words: Mapping[int, str], classes: ClassMap) -> dict[int, int]:
    """0xRRGGBB → category id, in the same manner."""
    return {colour: classes.id_of(word) for colour, word in words.items()} | dict(classes.colours)


def uncounted(words: Mapping[int, str]) -> dict[str, int | None]:
    """The words of a table as `Source.words` wants them: uses are not counted."""
    return dict.fromkeys(words.values())
