"""A file of a dataset, on its own or one of those that lie in a tar: whoever reads it need not know which."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path

from earthsynth_factory.errors import SourceError
from earthsynth_factory.io.atomic import put_file, write_bytes
from earthsynth_factory.io.bounded import open_regular, read_bounded
from earthsynth_factory.io.stamps import Stamp
from earthsynth_factory.io.tar_members import BLOCK, MAX_MEMBER, TarMember, header


@dataclass(frozen=True, slots=True)
class StoredFile:
    """path: of the file, or of the tar that it lies in; member: where there, None if it is on its own."""

    path: Path
    member: TarMember | None = None

    @property
    def place(self) -> Path:
        """How a person is told of it: its path; of one in a tar as if the tar were a folder."""
        return self.path if self.member is None else self.path / self.member.name

    @property
    def suffix(self) -> str:
        return self.place.suffix

    def __str__(self) -> str:
        return str(self.place)

    def is_file(self) -> bool:
        """Whether it is there."""
        return self.path.is_file()

    @property
    def size(self) -> int:
        """In bytes. Raises OSError if it is not there."""
        found = self.path.stat()
        return found.st_size if self.member is None else self.member.size

    def stamp(self) -> Stamp:
        """Changes with the file, or with the tar. Raises OSError if it is not there."""
        found = self.path.stat()
        return Stamp(found.st_size if self.member is None else self.member.size, found.st_mtime_ns)

    def open(self, mode: str = "rb") -> BufferedReader | BytesIO:
        """For reading. Raises OSError, SourceError, and ValueError for a pipe or a device."""
        assert mode == "rb", "datasets are only read"
        return open_regular(self.path) if self.member is None else BytesIO(self.read_bytes())

    def read_bytes(self, most: int = MAX_MEMBER) -> bytes:
        """All of it. Raises SourceError if it is missing, larger than `most` bytes or, in a tar, not what should be there."""
        try:
            if self.member is None:
                return read_bounded(self.path, most)
            with open_regular(self.path) as file:
                return member_bytes(file.fileno(), self.member)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise SourceError(f"{self}: {said}; the dataset is incomplete or damaged") from error

    def put(self, target: Path, link: bool) -> None:
        """Bring it to `target`: a hard link if wished and possible, else a copy. Raises DiskError, StoreError, and
        SourceError as `read_bytes`.
        """
        if self.member is None:
            put_file(self.path, target, link)
        else:
            write_bytes(target, self.read_bytes(), durable=False)


def member_bytes(handle: int, member: TarMember) -> bytes:
    """The contents of a member. handle: the tar, opened. Raises ValueError if another one is there; OSError."""
    found = os.pread(handle, BLOCK + member.size, member.start)
    if len(found) != BLOCK + member.size or found[:BLOCK] != header(member.name, member.size):
        raise ValueError("the tar holds something else in its place")
    return found[BLOCK:]
