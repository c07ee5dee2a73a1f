"""A build, its exports, a filter and a preparation on a machine whose sockets are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

from tests.attack.inputs import Inputs
from tests.attack.kills import jobs
from tests.attack.outcome import Outcome
from tests.attack.running import run

MARK = "asked for the network"


def blocked() -> None:
    """Installs sockets that say who asked for them and refuse; the process's own pipes are no such thing."""
    import socket

    def refuse(*words: Any, **_: Any) -> NoReturn:
        os.write(2, f"{MARK}: {words[1:]}\n".encode())
        raise OSError("no network here")

    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = refuse


def attack(inputs: Inputs, folder: Path) -> Outcome:
    """Every command once."""
    outcome = Outcome("no network")
    folder.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(jobs(inputs)):
        ended = run(job.into(folder / f"out{number}"), folder / "log.txt", blocked)
        asked = MARK in ended.text
        outcome.count(f"{job.name}: {ended.fault([0]) or ended.text[-200:]}" if asked or ended.fault([0]) else None)
    return outcome
