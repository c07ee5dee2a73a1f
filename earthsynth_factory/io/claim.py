"""Whose an output folder is: a mark in every folder that is ours, and in it what was finished there.

OUT/.earthsynth-factory.json: the command that made the folder, the settings it was made with, and once it is done a digest
of all that decided the outcome. By the mark a foreign folder is known and left alone; by the digest a finished one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.atomic import TEMPORARY, sweep, write_json
from earthsynth_factory.io.gates import write_below
from earthsynth_factory.io.lock import LOCK, locked
from earthsynth_factory.io.objects import local

MARK = ".earthsynth-factory.json"

MAX_BYTES = 1 << 22


@dataclass(frozen=True)
class Claim:
    """An output folder held for one command."""

    root: Path
    command: str
    settings: Mapping[str, Any]

    def done(self, outcome: str) -> bool:
        """Whether the folder was finished with these settings and this outcome."""
        mark = read_mark(self.root)
        return mark is not None and mark.get("finished") == _digest(self.settings, outcome)

    def begin(self) -> None:
        """Mark the folder as ours, before the first thing is written; a finished one stays finished. Raises DiskError."""
        mark, known = _mark(self.command, self.settings, None), read_mark(self.root)
        if known is None or known["settings"] != mark["settings"]:
            write_json(self.root / MARK, mark)

    def reopen(self) -> None:
        """Mark it as unfinished, before anything that was finished is changed."""
        mark = _mark(self.command, self.settings, None)
        if read_mark(self.root) != mark:
            write_json(self.root / MARK, mark)

    def finish(self, outcome: str) -> None:
        """Mark it as finished; after the last thing is written. outcome: changes with all that decided it."""
        write_json(self.root / MARK, _mark(self.command, self.settings, _digest(self.settings, outcome)))


@contextmanager
def claimed(
    out: Path,
    command: str,
    settings: Mapping[str, Any],
    *,
    folders: Sequence[str] = (),
    same: bool = True,
    ours: bool = False,
) -> Iterator[Claim]:
    """Hold `out` for a command, and sweep up what a killed one left half-written.

    folders: those in it that are written into, by name or by pattern. same: whether a folder of this command with other
    settings is refused. ours: that it is known by other signs.
    Raises StoreError if the folder is not empty and not of this command, or another process writes into it; DiskError.
    """
    check_claim(out, command, settings, same=same, ours=ours)
    with locked(out, command):
        check_claim(out, command, settings, same=same, ours=ours)
        for folder in (out, *_named(out, folders)):
            sweep(write_below(folder, out))
        try:
            yield Claim(out, command, settings)
        finally:
            _let_go(out)


def _named(out: Path, folders: Sequence[str]) -> Iterator[Path]:
    for name in folders:
        yield from out.glob(name) if "*" in name else (out / name,)


def check_claim(out: Path, command: str, settings: Mapping[str, Any], *, same: bool = True, ours: bool = False) -> None:
    """Raises StoreError as `claimed` does; nothing is written."""
    if local(out).exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file; choose a folder for --out")
    mark = read_mark(out)
    if mark is None:
        if not (ours or is_free(out)):
            raise StoreError(f"{out}: not empty and no {command} of ours; choose another folder with --out")
        return
    if mark["command"] != command:
        raise StoreError(f"{out}: was made by {mark['command']}, not by {command}; choose another --out")
    before = mark["settings"]
    other = [key for key in {**before, **settings} if before.get(key) != settings.get(key)] if same else []
    if other:
        was = ", ".join(f"{key} {before.get(key)!r} (now {settings.get(key)!r})" for key in sorted(other))
        raise StoreError(f"{out}: was made with {was}; use the same options or another --out")


def _let_go(out: Path) -> None:
    """Take back the mark of a folder into which nothing was written after it: other options may be tried there."""
    with suppress(OSError):
        if {path.name for path in out.iterdir() if not path.name.startswith(LOCK)} == {MARK}:
            (out / MARK).unlink()


def is_free(out: Path) -> bool:
    """Whether the folder is not there, or holds nothing but what we leave before the mark stands."""
    if not out.is_dir():
        return True
    return all(path.name.startswith(LOCK) or path.name.endswith(TEMPORARY) for path in out.iterdir())


def read_mark(out: Path) -> dict[str, Any] | None:
    """The folder's mark; None if it has none. Raises StoreError if it is damaged."""
    path = write_below(out / MARK, out)
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            mark = orjson.loads(file.read(MAX_BYTES))
        if not (isinstance(mark["command"], str) and isinstance(mark["settings"], dict)):
            raise ValueError("no command and settings")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: damaged ({error}); move the folder away or choose another --out") from error
    return dict(mark)


def finished_of(out: Path) -> str | None:
    """The digest of what was finished there; None if nothing was."""
    return (read_mark(out) or {}).get("finished")


def digest_of(*parts: object) -> str:
    """A short digest of plain data, the same on every machine."""
    return digest_of_each(parts)


def digest_of_each(parts: Iterable[object]) -> str:
    """As `digest_of`, of parts that come one at a time."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(orjson.dumps(part, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS) + b"\0")
    return digest.hexdigest()


def _digest(settings: Mapping[str, Any], outcome: str) -> str:
    return digest_of(settings, outcome)


def _mark(command: str, settings: Mapping[str, Any], finished: str | None) -> dict[str, Any]:
    plain = orjson.loads(orjson.dumps(dict(settings)))
    return {"made_by": "earthsynth-factory", "command": command, "settings": plain, "finished": finished}
