"""Batches made ready ahead of their step by threads. What a batch holds does not depend on when it is made."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from torch import Tensor

from earthsynth_factory.training.controlnet.batches import Batch, Batches
from earthsynth_factory.training.controlnet.cache import LatentCache
from earthsynth_factory.training.controlnet.dataset import TrainingSample


def latent_key(sample: TrainingSample, turn: int) -> str:
    """The cache's key of an image in one of its symmetries."""
    return f"{sample.digest}-{turn}"


@dataclass(frozen=True, eq=False, slots=True)
class ReadyBatch:
    """A batch and the cached moments (R, 2C, h, w) float16 of its real samples. position: where its pass starts."""

    position: int
    batch: Batch
    moments: Tensor


class Loader:
    """Batches by position, those after the asked one already in progress."""

    def __init__(self, batches: Batches, latents: LatentCache, threads: int) -> None:
        self.batches, self._latents, self._ahead = batches, latents, threads + 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batch")
        self._coming: dict[int, Future[ReadyBatch]] = {}
        self.waited = 0.0
        """Seconds that steps waited for their batch."""

    def get(self, position: int) -> ReadyBatch:
        """The batch of the pass that starts at `position`; raises what reading it raised."""
        stride = self.batches.stride
        for wanted in range(position, position + self._ahead * stride, stride):
            if wanted not in self._coming:
                self._coming[wanted] = self._pool.submit(self._prepare, wanted)
        for passed in [p for p in self._coming if p < position]:
            self._coming.pop(passed).cancel()
        started = time.perf_counter()
        found = self._coming.pop(position).result()
        self.waited += time.perf_counter() - started
        return found

    def close(self) -> None:
        """Lets the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _prepare(self, position: int) -> ReadyBatch:
        batch = self.batches.at(position)
        samples = [self.batches.dataset.samples[pick] for pick in batch.picks]
        keys = [latent_key(sample, int(turn)) for sample, turn in zip(samples, batch.turns, strict=True)]
        return ReadyBatch(position, batch, self._latents.moments(keys))
