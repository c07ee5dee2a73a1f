"""An object store in memory, which fails as it is told to."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from earthsynth_factory.io import objects


class StandIn(MemoryFileSystem):  # type: ignore[misc]
    """sent: keys in the order in which they were written. torn: this many writes store half. error: raised by every call."""

    cachable = False
    store: dict[str, Any] = {}  # noqa: RUF012  # as its base has it; `stand_in` gives each test its own
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    sent: list[str] = []  # noqa: RUF012
    torn = 0
    error: Exception | None = None

    def find(self, path: str, **_: Any) -> dict[str, dict[str, Any]]:
        self._fail()
        place = f"/{path}"
        names = [name for name in self.store if name == place or name.startswith(f"{place}/") or place == "/"]
        return {name[1:]: {"size": len(data := self.store[name].getvalue()), "ETag": _tag(data)} for name in names}

    def put_file(self, source: str, target: str, **_: Any) -> None:
        self._fail()
        data = Path(source).read_bytes()
        if self.torn:
            type(self).torn -= 1
            data = data[: len(data) // 2]
        self.sent.append(target)
        super().pipe_file(target, data)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        self._fail()
        self.sent.append(path)
        super().pipe_file(path, value, mode=mode)

    def cat_file(self, path: str, *_: Any, **__: Any) -> bytes:
        self._fail()
        data: bytes = super().cat_file(path)
        return data

    def _fail(self) -> None:
        if self.error:
            raise self.error


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    """The store under every address, and an empty cache."""
    for name, value in {"store": {}, "pseudo_dirs": [""], "sent": [], "torn": 0, "error": None}.items():
        monkeypatch.setattr(StandIn, name, value)
    found = StandIn()
    monkeypatch.setattr(objects, "_file_system", lambda _: found)
    monkeypatch.setattr(objects, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found
