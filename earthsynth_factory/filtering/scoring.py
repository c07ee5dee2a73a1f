"""Rules over a folder: what is stored is not measured again, expensive rules do not see what cheap ones have dropped.

Images are measured by the workers of an engine, some at a time; what comes of it is written here alone and in the folder's
order, so that the files are the same for any number of workers.
"""

from __future__ import annotations

import hashlib
import warnings
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import orjson

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.engines.in_order import results_in_order
from earthsynth_factory.engines.local import LocalEngine
from earthsynth_factory.errors import Interrupted
from earthsynth_factory.filtering.labelled_folder import LabelledImage
from earthsynth_factory.filtering.measuring import Asked, Chunk, MeasuredChunk, MeasureTask, Vectors, stored_rule
from earthsynth_factory.filtering.scores import ScoreJournal
from earthsynth_factory.io.signals import stop_on_signals
from earthsynth_factory.models.clip_cache import EmbeddingCache
from earthsynth_factory.recipe.thresholds import lasting_settings
from earthsynth_factory.rfilter.base import RuleSpec
from earthsynth_factory.rfilter.judge import build_rules

BATCH = 32
"""Images that a worker has in memory at a time; a kill costs those, and the few that wait for an earlier chunk."""

Watch = Callable[[int, int], None]
"""Called with images done and images in all."""


@dataclass(frozen=True)
class HowToScore:
    """workers: processes side by side; `auto` is one for each GPU, one without. watch: called with images done and images in
    all. tell: called with sentences for the person at the terminal.
    """

    workers: Literal["auto"] | int = "auto"
    watch: Watch = lambda _done, _total: None
    tell: Callable[[str], None] = lambda _: None


def asked_rules(specs: Iterable[RuleSpec], context: StageContext) -> list[Asked]:
    """Rules with the digests of their settings. Raises InputError for a plug-in that cannot decide from stored numbers,
    ModelError if weights are missing.
    """
    words = [context.taxonomy[target].words for target in context.targets]
    found = []
    for asked in build_rules(specs, context):
        spec = asked.spec
        lasting = {"kind": spec.kind, **lasting_settings(spec)}
        facts = orjson.dumps([lasting, dict(spec.identity(context.base)), words], option=orjson.OPT_SORT_KEYS)
        found.append(stored_rule(asked.name, spec, context, hashlib.blake2b(facts, digest_size=8).hexdigest()))
    return found


class FolderScorer:
    """Measures the images of one folder."""

    def __init__(
        self,
        entries: Sequence[LabelledImage],
        journal: ScoreJournal,
        vectors: Path,
        context: StageContext,
        how: HowToScore | None = None,
        scored: Counter[str] | None = None,
    ) -> None:
        """journal: of these entries. scored: rule → images it was asked of, counted on."""
        self._entries, self._journal = entries, journal
        self._vectors, self._context, self._how = vectors, context, how or HowToScore()
        self._scored: Counter[str] = Counter() if scored is None else scored
        self._caches: dict[Path, EmbeddingCache] = {}

    def score(self, places: Sequence[int], rules: Sequence[Asked]) -> None:
        """Ask every rule of these images, as far as it is not known. Raises ModelError, DiskError; Interrupted after Ctrl-C,
        with everything kept.
        """
        waiting = array("q", (place for place in places if self._lacks(place, rules)))
        if not waiting:
            return
        total, done = len(places), len(places) - len(waiting)

        def take(chunk: MeasuredChunk) -> None:
            nonlocal done
            self._store(chunk)
            done += len(chunk.places)
            self._how.watch(done, total)

        asked = [(rule.name, rule.spec, rule.settings) for rule in rules]
        task = MeasureTask(self._entries, asked, self._context, self._vectors)
        engine = LocalEngine.of(self._context.device, self._how.workers, -(-len(waiting) // BATCH), "--workers")
        with warnings.catch_warnings(), stop_on_signals(lambda: self._how.tell(_FINISHING)) as stop:
            results_in_order(engine, task, self._chunks(waiting), take, stop)
        if stop.is_set():
            raise Interrupted("stopped with everything kept; run the same command again to go on")

    def _chunks(self, waiting: array[int]) -> Iterable[Chunk]:
        for start in range(0, len(waiting), BATCH):
            places = waiting[start : start + BATCH].tolist()
            yield Chunk(places, [self._journal.row(place) for place in places])

    def _store(self, chunk: MeasuredChunk) -> None:
        """Vectors first: a row says that there are some."""
        for file, vectors in chunk.vectors.items():
            self._remember(file, vectors)
        self._journal.put(dict(zip(chunk.places, chunk.rows, strict=True)))
        self._scored.update(chunk.asked)

    def _remember(self, file: Path, vectors: Vectors) -> None:
        if vectors and file not in self._caches:
            self._caches[file] = EmbeddingCache(file)
        if new := {digest: vector for digest, vector in vectors.items() if digest not in self._caches[file]}:
            self._caches[file].add(new, np.stack(list(new.values())))

    def _lacks(self, place: int, rules: Sequence[Asked]) -> bool:
        scores = self._journal.scores
        return scores.lacks(place, [rule.name for rule in rules]) or not scores.is_current(
            place, self._entries[place].stamp()
        )


_FINISHING = "finishing the images that are looked at; Ctrl-C again stops now"
