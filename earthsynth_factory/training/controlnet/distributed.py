"""The processes that train together: who we are among them, as `accelerate launch` and `torchrun` say it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

PATIENCE = timedelta(hours=6)
"""How long the others wait while one process draws validation images or fills a cache."""


@dataclass(frozen=True, slots=True)
class Team:
    """`rank` of `world` processes on `device`; alone it is 0 of 1."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all have come here."""
        if self.world > 1:
            dist.barrier()

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over all processes, float64 so that one process's values come back as they are."""
        if self.world == 1:
            return list(values)
        summed = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return [float(value) for value in summed]


@contextmanager
def process_group(device: torch.device) -> Iterator[Team]:
    """The team of this process, from the launcher's environment; each takes its own GPU."""
    rank, world = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if device.type == "cuda" and world > 1:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if world == 1:
        yield Team(0, 1, device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Team(rank, world, device)
    finally:
        dist.destroy_process_group()
