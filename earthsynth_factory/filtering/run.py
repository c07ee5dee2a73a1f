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

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from earthsynth_factory.datasets.open import open_dataset
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.outcome import UNUSABLE, Reason
from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.exports.base import ExportSpec
from earthsynth_factory.exports.write import export
from earthsynth_factory.filtering.apply import check_mirror, check_unchanged, mirror, whole
from earthsynth_factory.filtering.labelled_folder import Folder
from earthsynth_factory.filtering.results import FilterResults, FilterSummary
from earthsynth_factory.filtering.scores import Row, ScoreJournal
from earthsynth_factory.filtering.scoring import AskedRule, Scorer, Watch, asked
from earthsynth_factory.filtering.sources import open_folder
from earthsynth_factory.filtering.spec import FilterSpec, build_rules, load_filter
from earthsynth_factory.filtering.thresholds import Limits, learn, prints_of, reasons, select, verdict
from earthsynth_factory.io.claim import Claim, claimed, digest_of, is_free
from earthsynth_factory.recipe.load import export_blocks
from earthsynth_factory.rfilter.thresholds import Thresholds

EXPORTED = ("coco", "yolo-detect")
"""Formats that a filtered build or prepared dataset is written in besides its own."""


@dataclass(frozen=True)
class FilterOptions:
    """config: filter.yaml. calibrate: a folder of real labelled images. map: class words, as `prepare` takes them.

    kind: of the folder, where it cannot be recognised; as `prepare` has it. plugins: whether those that the configuration
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


def run_filter(path: Path, out: Path, options: FilterOptions, watch: Watch | None = None) -> FilterSummary:
    """Score and decide; nothing in `path` is changed. Raises InputError and its kin, DiskError."""
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
        rules = asked(build_rules(spec, context), context)
        return _Run(spec, base, folder, rules, claim, options).run(watch)


class _Run:
    """One run: what its steps share."""

    def __init__(
        self, spec: FilterSpec, base: Path, folder: Folder, rules: list[AskedRule], claim: Claim, options: FilterOptions
    ) -> None:
        self._claim, self._out, self._options = claim, claim.root, options
        self._spec, self._base, self._folder, self._rules = spec, base, folder, rules
        self._vectors, self._filtered = claim.root / "vectors", claim.root / "filtered"
        self._scored: Counter[str] = Counter()

    def run(self, watch: Watch | None) -> FilterSummary:
        """See `run_filter`."""
        self._limits(Thresholds())  # an unknown class is said before anything is looked at
        if self._options.apply != "list":
            check_mirror(self._folder, self._filtered)
        real = self._real(watch)
        journal = ScoreJournal(self._out / "scores.jsonl")
        try:
            limits = self._score(journal, real, watch)
            rows = [journal.rows[entry.name] for entry in self._folder.entries]
        finally:
            journal.close()
        kept = [not row.fault and verdict(self._spec, self._rules, limits, row)[0] is True for row in rows]
        own, others = (self._prints(part) if part is not None else None for part in (rows, real))
        assert own is not None
        dropped = select(self._spec, self._rules, rows, kept, own, others)
        why = [
            [Reason(UNUSABLE, row.fault)] if row.fault else [] if stays and place not in dropped
            else [dropped[place]] if place in dropped else reasons(verdict(self._spec, self._rules, limits, row)[1])
            for place, (row, stays) in enumerate(zip(rows, kept, strict=True))
        ]  # fmt: skip
        results = FilterResults(self._folder, self._rules, rows, real, limits, why, self._scored)
        asked = {"config": self._spec.model_dump(mode="json"), "map": _absolute(self._options.map)}
        summary = results.write(self._out, asked, str(self._options.calibrate))
        if self._options.apply != "list":
            self._apply(results.kept)
        return summary

    def _prints(self, rows: Sequence[Row]) -> Any:
        return prints_of(rows, self._rules, self._vectors, self._base)

    def _real(self, watch: Watch | None) -> list[Row] | None:
        """Rows of the real images, every rule asked of each; None without. Raises InputError where none is usable."""
        if self._options.calibrate is None:
            return None
        folder = open_folder(
            self._options.calibrate,
            self._out / "real",
            self._options.map,
            "auto",
            self._options.stretch,
            self._options.bands,
        )
        journal = ScoreJournal(self._out / "real" / "scores.jsonl")
        try:
            self._scorer(journal).score(folder.entries, self._rules, watch)
            rows = [journal.rows[entry.name] for entry in folder.entries]
        finally:
            journal.close()
        known = {category.id for category in self._folder.taxonomy}
        usable = [row for row in rows if not row.fault and (row.category is None or row.category in known)]
        if not usable:
            raise InputError(
                f"{self._options.calibrate}: none of its {len(rows)} images could be read; see scores.jsonl"
            )
        return usable

    def _scorer(self, journal: ScoreJournal) -> Scorer:
        return Scorer(journal, self._vectors, self._base, self._options.device, self._scored)

    def _score(self, journal: ScoreJournal, real: list[Row] | None, watch: Watch | None) -> Limits:
        """Rules by cost: each stage sees what the stages before it left open. Gives the final thresholds.

        Within a run a stage learns from what it sees, whatever else earlier runs stored, and its thresholds stand: what
        it refused later stages did not look at.
        """
        entries, scorer = list(self._folder.entries), self._scorer(journal)
        learnt = Thresholds() if real is None else learn(self._spec, self._rules, real, True)
        for cost in sorted({rule.spec.cost for rule in self._rules}):
            so_far = [rule for rule in self._rules if rule.spec.cost <= cost]
            scorer.score(entries, so_far, watch)
            rows = [journal.rows[entry.name] for entry in entries]
            if real is None:
                learnt |= learn(self._spec, self._rules, rows, False, cost)
            limits = self._limits(learnt)
            entries = [entry for entry, row in zip(entries, rows, strict=True) if self._open(so_far, limits, row)]
        return self._limits(learnt)

    def _open(self, rules: list[AskedRule], limits: Limits, row: Row) -> bool:
        return not row.fault and verdict(self._spec, rules, limits, row)[0] is not False

    def _limits(self, data: Thresholds) -> Limits:
        return Limits.of(self._spec, self._folder.taxonomy, data)

    def _apply(self, kept: list[str]) -> None:
        how = self._options.apply
        assert how != "list"
        outcome = digest_of(how, kept, [(entry.name, entry.stamp()) for entry in self._folder.entries])
        if self._claim.done(outcome) and not is_free(self._filtered):
            return
        check_unchanged(self._filtered)
        with whole(self._filtered) as fresh:
            mirror(self._folder, fresh, self._filtered, kept, how)
            if self._folder.kind in ("build", "prepared") and kept:
                blocks: tuple[ExportSpec, ...] = export_blocks(EXPORTED)
                export(open_dataset(fresh), blocks, fresh / "exports", lambda _: None)
            self._claim.finish(outcome)  # before the folder stands, so that a kill behind it finds it known


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())
