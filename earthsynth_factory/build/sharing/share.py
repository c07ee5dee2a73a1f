"""Which shards of a build are one task's: `--shard 3/64`, or what the job's scheduler says in the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from earthsynth_factory.errors import InputError

MOST = 100_000
"""Largest number of shares."""

_GIVEN = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Share:
    """The `number`-th of `count` shares of a build, from 1. source: the variable that said so; empty if the user did."""

    number: int
    count: int
    source: str = ""

    def of(self, shards: int) -> range:
        """Its shards: every `count`-th, so that all shares are alike."""
        return range(self.number - 1, shards, self.count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}{f' ({self.source})' if self.source else ''}"


@dataclass(frozen=True, slots=True)
class _Array:
    """How a scheduler tells a task its number: the variables of it, of the first and last one and of the step between two; or
    of how many there are, which then count from 0.
    """

    number: str
    first: str = ""
    last: str = ""
    step: str = ""
    count: str = ""


_ARRAYS = (
    _Array("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP"),
    _Array("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE"),
    _Array("JOB_COMPLETION_INDEX", count="JOB_COMPLETIONS"),
    _Array("AWS_BATCH_JOB_ARRAY_INDEX", count="AWS_BATCH_JOB_ARRAY_SIZE"),
    _Array("CLOUD_RUN_TASK_INDEX", count="CLOUD_RUN_TASK_COUNT"),
    _Array("SLURM_PROCID", count="SLURM_NTASKS"),
)
"""Job arrays of SLURM and Grid Engine, indexed Jobs of Kubernetes, AWS Batch, Cloud Run jobs, tasks of `srun`. Kubernetes
does not say how many completions a Job has: a manifest has to set JOB_COMPLETIONS."""


def parse_share(text: str, environment: Mapping[str, str]) -> Share:
    """The share that `--shard TEXT` means; `env` asks the environment. Raises InputError."""
    if text == "env":
        return _share_of(environment)
    match = _GIVEN.fullmatch(text)
    if match is None:
        raise InputError(f"--shard {text[:40]!r}: give the share and how many there are, such as 3/64, or `env`")
    return _checked(Share(int(match[1]), int(match[2])), f"--shard {text}")


def _share_of(environment: Mapping[str, str]) -> Share:
    for array in _ARRAYS:
        if _whole(environment, array.number) is not None:
            return _checked(_told(array, environment), f"--shard env: {array.number}={environment[array.number]}")
    names = ", ".join(array.number for array in _ARRAYS)
    raise InputError(f"--shard env: none of {names} is set to a number; say which share this is, such as --shard 3/64")


def _told(array: _Array, environment: Mapping[str, str]) -> Share:
    """The share by one scheduler. Raises InputError if it does not say how many there are."""
    number = int(environment[array.number])
    if array.count:
        count = _whole(environment, array.count)
        if count is None:
            raise InputError(
                f"--shard env: {array.number} is set and {array.count} is not; set it to how many tasks there are, or give "
                f"--shard $(({array.number} + 1))/N"
            )
        return Share(number + 1, count, array.number)
    first, last = _whole(environment, array.first), _whole(environment, array.last)
    step = _whole(environment, array.step) or 1
    listed = _whole(environment, "SLURM_ARRAY_TASK_COUNT") if array.number.startswith("SLURM") else None
    if first is None or last is None or (listed is not None and listed != (last - first) // step + 1):
        raise InputError(
            f"--shard env: the job's tasks are not numbered evenly, so {array.number}={number} does not say which share "
            f"this is; give it, such as --shard ${array.number}/64"
        )
    return Share((number - first) // step + 1, (last - first) // step + 1, array.number)


def _whole(environment: Mapping[str, str], name: str) -> int | None:
    """The variable's number; None if it has none ("undefined" outside of an array)."""
    text = environment.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _checked(share: Share, given: str) -> Share:
    if not 1 <= share.number <= share.count <= MOST:
        raise InputError(f"{given}: shares are counted from 1 to how many there are, {MOST} at most: 1/64 … 64/64")
    return share
