"""Object stores: what lies under s3://, gs:// and az://, through fsspec, and a local copy of it.

Credentials, endpoints and regions are the environment's, as each store's own library reads it; none is written down here.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.io.store_faults import fault_of, said

LIBRARIES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "az": ("adlfs", "azure")}
"""Scheme → the library that reads it, and our extra that brings it."""

TRIES = 5
"""How often something is asked of a store that does not answer, with longer and longer pauses, beside its library's tries."""

PAUSE_SECONDS = 0.5

PATIENCE_SECONDS = 30.0
"""Nothing is asked again after this; Google's library takes as long for its own tries, where nobody listens."""

SILENCE_SECONDS = 60.0
"""How long Google's library waits for the next byte if the environment says nothing else; of itself, five minutes for all."""

MAX_OBJECTS = 20_000_000

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(.*)|(s3|gs|az):", re.DOTALL)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """A folder, or one object, in a store. key: without slashes at its ends; may be empty."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def of(cls, given: str | Path) -> ObjectAddress | None:
        """What an address means; None for a local path. A `Path` has made one slash of two, which means the same.

        Raises InputError for another scheme, and for an address that is none.
        """
        match = _ADDRESS.fullmatch(str(given))
        if match is None:
            return None
        scheme, rest = match[1] or match[3], (match[2] or "").strip("/")
        shown = f"{scheme}://{rest}"
        if scheme not in LIBRARIES:
            raise InputError(
                f"{shown}: object stores are {', '.join(f'{one}://' for one in LIBRARIES)}; else a folder's path"
            )
        if "@" in rest.partition("/")[0] or "?" in rest:
            raise InputError(f"{scheme}://…: an address holds no credentials and no query; they are the environment's")
        bucket, _, key = rest.partition("/")
        # What stands behind a colon, Azure's library leaves out.
        if not bucket or (scheme == "az" and ":" in bucket) or (key and not _is_plain(key)):
            raise InputError(f"{shown!r}: write {scheme}://BUCKET/FOLDER, without empty parts, `.` and `..`")
        return cls(scheme, bucket, key)

    @property
    def name(self) -> str:
        """What the folder is called."""
        return self.key.rpartition("/")[2] or self.bucket

    def below(self, name: str) -> str:
        """An object in the folder, in fsspec's words."""
        return "/".join(part for part in (self.bucket, self.key, name) if part)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.below('')}"


def local(path: Path) -> Path:
    """The path itself. Raises InputError if it is an address in a store: who takes those has a copy in its place by now."""
    if address := ObjectAddress.of(path):
        raise InputError(
            f"{address}: lies in an object store, and this is for folders of this machine; name one of those"
        )
    return path


def _is_plain(key: str) -> bool:
    """Whether a key is a path that stays below where it begins."""
    return key.isprintable() and "\\" not in key and not {"", ".", ".."} & set(key.split("/"))


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a listing has it. size: in bytes. tag: changes with its content."""

    size: int
    tag: str


class ObjectStore:
    """The objects of one folder, by their names below it. Calls are repeated where the store does not answer.

    Each method raises StoreError if the user has to change something (no such bucket, no permission, no credentials) and
    DiskError if the store does not answer: the same command may go on later.
    """

    def __init__(self, address: ObjectAddress) -> None:
        self.address = address
        self._files = _file_system(address)

    def listing(self, below: str = "") -> Mapping[str, Stored]:
        """Every object below a name. Raises StoreError also for a name that is no path, such as `a/../b`."""
        found = self._found(self.address.below(below))
        if len(found) > MAX_OBJECTS:
            raise StoreError(f"{self.address}: more than {MAX_OBJECTS:,} objects")
        start = len(self.address.below("")) + 1
        stored = {}
        for place, about in found.items():
            name = place[start:]
            if not name or place.endswith("/"):  # the address itself, or what consoles make in place of a folder
                continue
            if not _is_plain(name):
                raise StoreError(f"{self.address}: the key {name!r} is no path below it; rename that object")
            stored[name] = Stored(int(about["size"]), _tag(about))
        return stored

    def alone(self) -> Stored | None:
        """The object of the address itself; None if that is a folder."""
        place = self.address.below("")
        found = self._found(place).get(place)
        return None if found is None or not self.address.key else Stored(int(found["size"]), _tag(found))

    def _found(self, place: str) -> Mapping[str, Mapping[str, Any]]:
        """What fsspec has of the objects at and below a place."""

        def find() -> Mapping[str, Mapping[str, Any]]:
            found: Any = self._files.find(place, detail=True, withdirs=False)
            # Azure's library names a single object, and says nothing of it.
            return found if isinstance(found, Mapping) else {name: self._files.info(name) for name in found}

        return self._asked(find, "cannot be listed")

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None if there is none."""
        try:
            data: bytes = self._asked(
                lambda: self._files.cat_file(self.address.below(name)), f"{name} cannot be read", True
            )
        except FileNotFoundError:
            return None
        return data

    def get(self, name: str, target: Path, size: int) -> None:
        """Bring an object to a local file, which is of this size then."""

        def fetch() -> None:
            self._files.get_file(self.address.below(name), str(target))
            if target.stat().st_size != size:
                raise OSError(f"{target.stat().st_size} bytes came of {size}")

        self._asked(fetch, f"{name} cannot be fetched")

    def put(self, name: str, source: Path) -> None:
        """Put a file in place of an object, if there is one."""
        self._asked(lambda: self._files.put_file(str(source), self.address.below(name)), f"{name} cannot be written")

    def create(self, name: str, data: bytes) -> bool:
        """Put an object if there is none, at once; False if there is one already."""
        place = self.address.below(name)
        try:
            self._asked(lambda: self._files.pipe_file(place, data, mode="create"), f"{name} cannot be written", True)
        except FileExistsError:
            return self.read(name) == data  # ours, if the answer to an earlier try was lost
        return True

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        try:
            self._asked(lambda: self._files.rm_file(self.address.below(name)), f"{name} cannot be removed", True)
        except FileNotFoundError:
            return

    def _asked(self, call: Callable[[], Answer], what: str, absent: bool = False) -> Answer:
        """What the call gives, tried several times. absent: FileNotFoundError and FileExistsError are the caller's."""
        ends = time.monotonic() + PATIENCE_SECONDS
        for number in range(TRIES):
            try:
                return call()
            except Exception as error:
                if absent and isinstance(error, FileNotFoundError | FileExistsError):
                    raise
                fault = fault_of(str(self.address), what, error)
                if isinstance(fault, StoreError) or number == TRIES - 1 or time.monotonic() > ends:
                    raise fault from None
            time.sleep(PAUSE_SECONDS * 2**number)
        raise AssertionError


def _file_system(address: ObjectAddress) -> Any:
    """fsspec's, with no memory of listings. Raises InputError if the library is missing."""
    import fsspec

    library, extra = LIBRARIES[address.scheme]
    _quieten()
    try:
        files = fsspec.filesystem(
            address.scheme, use_listings_cache=False, skip_instance_cache=True, **_waits(address.scheme)
        )
    except ImportError:
        raise InputError(f"{address}: needs {library}; pip install 'earthsynth-factory[{extra}]'") from None
    except Exception as error:
        raise InputError(f"{address}: cannot be used ({said(error)}); see to the environment's credentials") from None
    if address.scheme == "az":
        _hasten(files)
    return files


def _hasten(files: Any) -> None:
    """Let Azure's library try again once, and soon, for `ObjectStore` does it anyway. Of itself it waits for over a minute in
    each of its calls, of which a listing has several, and adlfs has no option for it.
    """
    with suppress(AttributeError):  # in a version that keeps it elsewhere
        policy = files.service_client._config.retry_policy
        policy.total_retries, policy.initial_backoff, policy.random_jitter_range = 1, 1, 1


def _quieten() -> None:
    """Keep the libraries' logs to themselves: each failed try with its address, whose query may be a signature, though it
    is tried again. What counts is raised. Google's is not to ask a second service what sort of bucket each is, either.
    """
    for library in ("aiobotocore", "asyncio", "azure", "botocore", "fsspec", "gcsfs", "google", "s3fs"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


def _waits(scheme: str) -> dict[str, Any]:
    """How long a silent store is waited for, if neither its library nor the environment says it."""
    from fsspec.config import conf

    if scheme != "gs" or any("requests_timeout" in conf.get(name, {}) for name in ("gs", "gcs")):
        return {}
    from aiohttp import ClientTimeout

    return {"requests_timeout": ClientTimeout(total=None, sock_connect=SILENCE_SECONDS / 3, sock_read=SILENCE_SECONDS)}


def _tag(about: Mapping[str, Any]) -> str:
    """What a listing has that changes with the content."""
    known = next((about[key] for key in ("ETag", "etag", "md5Hash", "content_md5", "crc32c") if about.get(key)), None)
    found = str(known or about.get("LastModified") or about.get("updated") or about.get("last_modified") or "")
    return found.strip('"')  # which Azure's library puts around it in a listing alone
