"""Rules over a folder: what is stored is not measured again, expensive rules do not see what cheap ones have dropped."""

from __future__ import annotations

import hashlib
import warnings
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from rasterio.errors import NotGeoreferencedWarning

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate
from earthsynth_factory.errors import InputError, SourceError, StoreError
from earthsynth_factory.filtering.labelled_folder import LabelledImage
from earthsynth_factory.filtering.row import Measured, ScoreRow
from earthsynth_factory.filtering.scores import ScoreJournal
from earthsynth_factory.models.clip_cache import EmbeddingCache, cache_file, content_hash
from earthsynth_factory.recipe.thresholds import lasting_settings
from earthsynth_factory.rfilter.base import MeasuredRule, RuleSpec
from earthsynth_factory.rfilter.clip_rule import ClipRuleSpec
from earthsynth_factory.rfilter.judge import AskedRule, build_rules
from earthsynth_factory.rfilter.selections.duplicates import perceptual_hash

BATCH = 32
"""Images in memory at a time; also what a kill costs at the most."""

Watch = Callable[[int, int], None]
"""Called with images done and images in all."""


Asked = AskedRule[MeasuredRule]
"""A rule whose numbers are stored."""


def asked_rules(specs: Iterable[RuleSpec], context: StageContext) -> list[Asked]:
    """Rules with the digests of their settings. Raises InputError for a plug-in that cannot decide from stored numbers,
    ModelError if weights are missing.
    """
    words = [context.taxonomy[target].words for target in context.targets]
    found = []
    for asked in build_rules(specs, context):
        spec = asked.spec
        if not isinstance(asked.rule, MeasuredRule):
            raise InputError(f"rule {spec.kind!r}: derive it from MeasuredRule, so that its scores can be stored")
        lasting = {"kind": spec.kind, **lasting_settings(spec)}
        facts = orjson.dumps([lasting, dict(spec.identity(context.base)), words], option=orjson.OPT_SORT_KEYS)
        found.append(Asked(asked.name, spec, asked.rule, hashlib.blake2b(facts, digest_size=8).hexdigest()))
    return found


class FolderScorer:
    """Measures the images of one folder. Models are loaded when the first image needs them."""

    def __init__(
        self,
        entries: Sequence[LabelledImage],
        journal: ScoreJournal,
        vectors: Path,
        base: Path,
        device: str,
        scored: Counter[str] | None = None,
    ) -> None:
        """journal: of these entries. scored: rule → images it was asked of, counted on."""
        self._entries = entries
        self._journal, self._vectors, self._base, self._device = journal, vectors, base, device
        self._scored: Counter[str] = Counter() if scored is None else scored
        self._open: set[str] = set()

    def score(self, places: Sequence[int], rules: Sequence[Asked], watch: Watch | None = None) -> None:
        """Ask every rule of these images, as far as it is not known. Raises ModelError, DiskError."""
        waiting = array("q", (place for place in places if self._lacks(place, rules)))
        total, done = len(places), len(places) - len(waiting)
        with warnings.catch_warnings(), ThreadPoolExecutor(2, "read") as readers:
            # Set by readers in threads of their own, a filter of warnings is not sure to hold.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            for start in range(0, len(waiting), BATCH):
                chunk = waiting[start : start + BATCH].tolist()
                entries = [self._entries[place] for place in chunk]
                loaded = list(zip(entries, readers.map(read, entries), strict=True))
                self._journal.put(dict(zip(chunk, self._measured(chunk, loaded, rules), strict=True)))
                done += len(chunk)
                if watch:
                    watch(done, total)

    def _lacks(self, place: int, rules: Sequence[Asked]) -> bool:
        scores = self._journal.scores
        return scores.lacks(place, [rule.name for rule in rules]) or not scores.is_current(
            place, self._entries[place].stamp()
        )

    def _measured(
        self,
        places: Sequence[int],
        loaded: Sequence[tuple[LabelledImage, Candidate | SourceError]],
        rules: Sequence[Asked],
    ) -> list[ScoreRow]:
        rows = [self._row(place, *found) for place, found in zip(places, loaded, strict=True)]
        good = [(row, found) for row, (_, found) in zip(rows, loaded, strict=True) if isinstance(found, Candidate)]
        for rule in rules:
            lacking = [(row, found) for row, found in good if row.measures(rule.name, rule.settings) is None]
            if lacking:
                self._ready(rule)
                measures = rule.rule.measure([found for _, found in lacking])
                self._scored[rule.name] += len(lacking)
                for (row, _), numbers in zip(lacking, measures, strict=True):
                    row.measured[rule.name] = Measured.of(rule.settings, numbers)
        return rows

    def _row(self, place: int, entry: LabelledImage, found: Candidate | SourceError) -> ScoreRow:
        stamp = entry.stamp()
        if isinstance(found, SourceError):
            return ScoreRow(entry.name, stamp, fault=str(found))
        known = self._journal.row(place)
        if known is not None and known.stamp == stamp and not known.fault:
            return known
        digest, phash = content_hash(found.image).hex(), f"{perceptual_hash(found.image):016x}"
        return ScoreRow(entry.name, stamp, found.slot.category, digest, phash)

    def _ready(self, rule: Asked) -> None:
        if rule.name in self._open:
            return
        rule.rule.open()
        if isinstance(rule.spec, ClipRuleSpec) and rule.spec.looks_with_clip:
            from earthsynth_factory.models.clip import load_clip

            clip = load_clip(rule.spec.model, self._base, self._device)
            file = cache_file(self._vectors, rule.spec.model, self._base)
            if clip.cached_in != file:
                clip.remember(EmbeddingCache(file))
        self._open.add(rule.name)


def read(entry: LabelledImage) -> Candidate | SourceError:
    """The image and its labels, or why they cannot be used."""
    try:
        return entry.load()
    except (SourceError, StoreError) as error:
        return SourceError(str(error))
    except (OSError, ValueError) as error:  # a reader met a file that it has no words for
        return SourceError(f"{entry.files[0]}: cannot be read ({error})")
