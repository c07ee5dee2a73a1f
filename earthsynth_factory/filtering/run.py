"""`filter` from end to end: recognise, score, learn thresholds, decide, write.

OUT/scores.jsonl  vectors/…        the journal and CLIP's vectors by content; they make a second run quick
OUT/scores.csv    scores.parquet   a row an image (`scores` has the columns)
OUT/decisions.jsonl                each image's reasons and scores, for the report
OUT/keep.txt                       names of the kept images, one a line
OUT/filter.json                    what the folder was taken for, thresholds, counts, reasons, faults
OUT/thresholds.yaml                with --calibrate: what was learnt, for `rfilter: {thresholds: …}` of a recipe
OUT/curves.png                     share kept against threshold, by rule
OUT/real/…                         the same journal for the images of --calibrate
OUT/filtered/…                     with --apply copy or link
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from earthsynth_factory.datasets.open import open_dataset
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.exports.base import ExportSpec
from earthsynth_factory.exports.write import export
from earthsynth_factory.filtering.apply import check_mirror, check_own, mirror, set_aside, whole
from earthsynth_factory.filtering.columns import NONE, Known, ScoreColumns
from earthsynth_factory.filtering.labelled_folder import LabelledFolder
from earthsynth_factory.filtering.measuring import Asked
from earthsynth_factory.filtering.results import Decided, FilterResults, FilterSummary, ThresholdSource
from earthsynth_factory.filtering.scores import ScoreJournal
from earthsynth_factory.filtering.scoring import FolderScorer, HowToScore, asked_rules
from earthsynth_factory.filtering.sources import open_folder
from earthsynth_factory.filtering.spec import FilterSpec, load_filter
from earthsynth_factory.filtering.thresholds import keeps, learn, of_a_build, prints_of, select, written_limits
from earthsynth_factory.io.claim import Claim, claimed, digest_of, digest_of_each, is_free
from earthsynth_factory.io.compact import Texts
from earthsynth_factory.recipe.load import export_blocks
from earthsynth_factory.rfilter.judge import Judge, Limits
from earthsynth_factory.rfilter.selections.base import Bools, Prints
from earthsynth_factory.rfilter.thresholds import Thresholds

EXPORTED = ("coco", "yolo-detect")
"""Formats that a filtered build or prepared dataset is written in besides its own."""


@dataclass(frozen=True)
class FilterOptions:
    """config: filter.yaml. calibrate: a folder of real labelled images. map: class words, as `prepare` takes them.

    kind: of the folder, if it cannot be recognised; as `prepare` has it. plugins: whether those that the configuration
    names may be imported. stretch, bands: of images of more than 8 bits, as `prepare` has them.
    """

    config: Path | None = None
    calibrate: Path | None = None
    apply: Literal["copy", "link", "list"] = "list"
    map: Path | None = None
    device: str = "auto"
    kind: str = "auto"
    plugins: bool = False
    stretch: str | None = None
    bands: tuple[int, int, int] | None = None


def run_filter(path: Path, out: Path, options: FilterOptions, how: HowToScore | None = None) -> FilterSummary:
    """Score and decide; nothing in `path` is changed. Raises InputError and its kin, DiskError; Interrupted after Ctrl-C."""
    if out.resolve().is_relative_to(path.resolve()):
        raise StoreError(f"{out}: lies inside {path}, which is only read; choose another --out")
    spec = load_filter(options.config, options.plugins)
    base = options.config.resolve().parent if options.config else Path.cwd()
    told = {"stretch": options.stretch, "bands": options.bands and list(options.bands)}
    settings = {"source": str(path.resolve()), **{name: value for name, value in told.items() if value}}
    with claimed(out, "filter", settings, folders=("vectors", "real", "real/vectors", "report", "filtered")) as claim:
        claim.begin()
        folder = open_folder(path, out, options.map, options.kind, options.stretch, options.bands)
        context = StageContext(folder.taxonomy, folder.targets, base, options.device)
        rules = asked_rules(spec.rules, context)
        return _Run(spec, context, folder, rules, claim, options, how).run()


@dataclass(frozen=True)
class _Real:
    """The images that thresholds are learnt from, as far as they are usable."""

    names: Sequence[str]
    scores: ScoreColumns


class _Run:
    """One run: what its steps share."""

    def __init__(
        self,
        spec: FilterSpec,
        context: StageContext,
        folder: LabelledFolder,
        rules: list[Asked],
        claim: Claim,
        options: FilterOptions,
        how: HowToScore | None,
    ) -> None:
        self._claim, self._out, self._options, self._how = claim, claim.root, options, how
        self._spec, self._context, self._folder, self._rules = spec, context, folder, rules
        self._vectors, self._filtered = claim.root / "vectors", claim.root / "filtered"
        self._scored: Counter[str] = Counter()
        self._shipped = None if options.calibrate else of_a_build(folder, rules)

    def run(self) -> FilterSummary:
        """See `run_filter`."""
        self._judge(self._rules, Thresholds())  # an unknown class is said before anything is looked at
        if self._options.apply != "list":
            check_mirror(self._folder, self._filtered)
        real = self._real()
        with closing(self._journal(self._folder, self._out)) as journal:
            judge = self._score(journal, real.scores if real else None)
            decided = self._decide(journal, judge, real)
            source: ThresholdSource = "real" if real else "shipped" if self._shipped else "run"
            results = FilterResults(self._folder, decided, real.scores if real else None, self._scored, source)
            asked = {"config": self._spec.model_dump(mode="json"), "map": _absolute(self._options.map)}
            summary = results.write(self._out, asked, str(self._options.calibrate))
            if self._options.apply != "list":
                self._apply(decided.kept)
        return summary

    def _decide(self, journal: ScoreJournal, judge: Judge, real: _Real | None) -> Decided:
        scores = journal.scores
        passed = np.array([keeps(judge, one) is True for one in scores], bool)
        prints = self._prints(self._folder.names, scores)
        others = self._prints(real.names, real.scores) if real else None
        gone = select(self._spec, self._rules, scores, passed & scores.usable, prints, others)
        return Decided(judge, journal, passed & scores.usable, gone)

    def _prints(self, names: Sequence[str], scores: ScoreColumns) -> Prints:
        return prints_of(names, scores, self._rules, self._vectors, self._context.base)

    def _journal(self, folder: LabelledFolder, out: Path) -> ScoreJournal:
        return ScoreJournal(out / "scores.jsonl", folder.names, {rule.name: rule.settings for rule in self._rules})

    def _real(self) -> _Real | None:
        """The real images, every rule asked of each; None without. Raises InputError if none is usable."""
        if self._options.calibrate is None:
            return None
        options, place = self._options, self._out / "real"
        assert options.calibrate
        folder = open_folder(options.calibrate, place, options.map, "auto", options.stretch, options.bands)
        with closing(self._journal(folder, self._out / "real")) as journal:
            self._scorer(folder, journal).score(range(len(folder.entries)), self._rules)
            scores = journal.scores
        known = [NONE, *(category.id for category in self._folder.taxonomy)]
        places = np.flatnonzero(scores.usable & scores.of_classes(known))
        if not len(places):
            raise InputError(
                f"{self._options.calibrate}: none of its {len(scores)} images could be read; see scores.jsonl"
            )
        return _Real(Texts(folder.names[place] for place in places.tolist()), scores.at(places))

    def _scorer(self, folder: LabelledFolder, journal: ScoreJournal) -> FolderScorer:
        return FolderScorer(folder.entries, journal, self._vectors, self._context, self._how, self._scored)

    def _score(self, journal: ScoreJournal, real: ScoreColumns | None) -> Judge:
        """Rules by cost: each stage sees what the stages before it left open. Gives the judge with the final thresholds.

        Within a run a stage learns from what it sees, whatever else earlier runs stored, and its thresholds stand: what
        it refused later stages did not look at.
        """
        scorer, scores = self._scorer(self._folder, journal), journal.scores
        places: Sequence[int] = range(len(scores))
        learnt = self._shipped or Thresholds() if real is None else learn(self._spec, self._rules, real, True)
        for cost in sorted({0, *(rule.spec.cost for rule in self._rules)}):
            so_far = [rule for rule in self._rules if rule.spec.cost <= cost]
            scorer.score(places, so_far)
            if real is None and self._shipped is None:
                learnt |= learn(self._spec, self._rules, map(scores.known, places), False, cost)
            judge = self._judge(so_far, learnt)
            places = array("q", (place for place in places if _is_open(judge, scores.known(place))))
        return self._judge(self._rules, learnt)

    def _judge(self, rules: Sequence[Asked], learnt: Thresholds) -> Judge:
        limits = Limits(written_limits(self._spec, self._folder.taxonomy), learnt)
        return Judge(rules, limits, self._spec.expression())

    def _apply(self, kept: Bools) -> None:
        how = self._options.apply
        assert how != "list"
        stamps = ((entry.name, entry.stamp()) for entry in self._folder.entries)
        outcome = digest_of(how, kept.tobytes().hex(), digest_of_each(stamps))
        if self._claim.done(outcome) and not is_free(self._filtered):
            return
        names = self._out / "filtered.json"
        check_own(self._filtered, names)
        with whole(self._filtered, names) as fresh:
            mirror(self._folder, fresh, self._filtered, kept, how)
            if self._folder.kind in ("build", "prepared") and kept.any():
                blocks: tuple[ExportSpec, ...] = export_blocks(EXPORTED)
                export(open_dataset(fresh), blocks, fresh / "exports", lambda _: None)
            set_aside(self._filtered)
            self._claim.finish(outcome)  # before the folder stands, so that a kill behind it finds it known


def _is_open(judge: Judge, image: Known) -> bool:
    return image.usable and keeps(judge, image) is not False


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())
