"""What a worker of `filter` does: some images are read, and every rule that they lack is asked of them. It writes nothing."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.errors import NotGeoreferencedWarning

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Candidate
from earthsynth_factory.errors import InputError, SourceError, StoreError
from earthsynth_factory.filtering.labelled_folder import LabelledImage
from earthsynth_factory.filtering.row import Measured, ScoreRow
from earthsynth_factory.models.clip_cache import NewVectors, cache_file, content_hash
from earthsynth_factory.rfilter.base import MeasuredRule, RuleSpec
from earthsynth_factory.rfilter.clip_rule import ClipRuleSpec
from earthsynth_factory.rfilter.judge import AskedRule
from earthsynth_factory.rfilter.selections.duplicates import perceptual_hash

Asked = AskedRule[MeasuredRule]
"""A rule whose numbers are stored."""

Vectors = Mapping[bytes, npt.NDArray[np.float32]]
"""Digest of an image → its vector (D,)."""


@dataclass(frozen=True)
class Chunk:
    """Some images of a folder by their places. known: what is stored of each, if anything."""

    places: Sequence[int]
    known: Sequence[ScoreRow | None]


@dataclass(frozen=True)
class MeasuredChunk:
    """What is known of a chunk now. asked: rule → images it was asked of. vectors: file → what belongs into it."""

    places: Sequence[int]
    rows: Sequence[ScoreRow]
    asked: Counter[str] = field(default_factory=Counter)
    vectors: Mapping[Path, Vectors] = field(default_factory=dict)


@dataclass(frozen=True)
class MeasureTask:
    """Measures images of one folder. Picklable: every worker builds its own rules, and loads models with the first image that
    needs them.

    rules: name, block and digest of the settings of each. vectors: the folder that CLIP's vectors are kept in.
    """

    entries: Sequence[LabelledImage]
    rules: Sequence[tuple[str, RuleSpec, str]]
    context: StageContext
    vectors: Path

    def open(self, device: str) -> Callable[[Chunk], MeasuredChunk]:
        # Set by readers in threads of their own, a filter of warnings is not sure to hold.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        context = replace(self.context, device=device)
        rules = [stored_rule(name, spec, context, settings) for name, spec, settings in self.rules]
        return _Measurer(self.entries, rules, context, self.vectors).measure


def stored_rule(name: str, spec: RuleSpec, context: StageContext, settings: str) -> Asked:
    """A rule, not yet open. Raises InputError for a plug-in that cannot decide from stored numbers."""
    rule = spec.build(context)
    if not isinstance(rule, MeasuredRule):
        raise InputError(f"rule {spec.kind!r}: derive it from MeasuredRule, so that its scores can be stored")
    return Asked(name, spec, rule, settings)


class _Measurer:
    def __init__(
        self, entries: Sequence[LabelledImage], rules: Sequence[Asked], context: StageContext, vectors: Path
    ) -> None:
        self._entries, self._rules, self._context, self._vectors = entries, rules, context, vectors
        self._open: set[str] = set()
        self._caches: dict[Path, NewVectors] = {}

    def measure(self, chunk: Chunk) -> MeasuredChunk:
        """Ask every rule of these images, as far as it is not known. Raises ModelError."""
        entries = [self._entries[place] for place in chunk.places]
        with ThreadPoolExecutor(2, "read") as readers:
            loaded = list(readers.map(read, entries))
        rows = [_row(*one) for one in zip(entries, loaded, chunk.known, strict=True)]
        good = [(row, found) for row, found in zip(rows, loaded, strict=True) if isinstance(found, Candidate)]
        asked = Counter({rule.name: count for rule in self._rules if (count := self._ask(rule, good))})
        return MeasuredChunk(chunk.places, rows, asked, {file: cache.take() for file, cache in self._caches.items()})

    def _ask(self, rule: Asked, good: Sequence[tuple[ScoreRow, Candidate]]) -> int:
        """Note a rule's numbers in the rows that lack them; how many those were."""
        lacking = [(row, found) for row, found in good if row.measures(rule.name, rule.settings) is None]
        if lacking:
            self._ready(rule)
            measures = rule.rule.measure([found for _, found in lacking])
            for (row, _), numbers in zip(lacking, measures, strict=True):
                row.measured[rule.name] = Measured.of(rule.settings, numbers)
        return len(lacking)

    def _ready(self, rule: Asked) -> None:
        if rule.name in self._open:
            return
        rule.rule.open()
        if isinstance(rule.spec, ClipRuleSpec) and rule.spec.looks_with_clip:
            from earthsynth_factory.models.clip import load_clip

            file = cache_file(self._vectors, rule.spec.model, self._context.base)
            if file not in self._caches:
                self._caches[file] = NewVectors(file)
            load_clip(rule.spec.model, self._context.base, self._context.device).remember(self._caches[file])
        self._open.add(rule.name)


def _row(entry: LabelledImage, found: Candidate | SourceError, known: ScoreRow | None) -> ScoreRow:
    stamp = entry.stamp()
    if isinstance(found, SourceError):
        return ScoreRow(entry.name, stamp, fault=str(found))
    if known is not None and known.stamp == stamp and not known.fault:
        return known
    digest, phash = content_hash(found.image).hex(), f"{perceptual_hash(found.image):016x}"
    return ScoreRow(entry.name, stamp, found.slot.category, digest, phash)


def read(entry: LabelledImage) -> Candidate | SourceError:
    """The image and its labels, or why they cannot be used."""
    try:
        return entry.load()
    except (SourceError, StoreError) as error:
        return SourceError(str(error))
    except (OSError, ValueError) as error:  # a reader met a file that it has no words for
        return SourceError(f"{entry.files[0]}: cannot be read ({error})")
