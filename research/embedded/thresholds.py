"""`python -m research.embedded.thresholds DATASET… --out DIR`: the thresholds that ship with the embedded models.

From real labelled images (prepared, cut to the models' size), some of every class: the percentiles by which the default
rules refuse at most `FALSE_REJECT` of them altogether. To be made again whenever CLIP or the segmenter change; a test
compares the hashes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import FactoryError
from earthsynth_factory.filtering.labelled_folder import LabelledFolder, LabelledImage
from earthsynth_factory.filtering.results import thresholds_file
from earthsynth_factory.filtering.scores import ScoreJournal
from earthsynth_factory.filtering.scoring import FolderScorer, HowToScore, asked_rules
from earthsynth_factory.filtering.sources import open_folder
from earthsynth_factory.filtering.spec import FilterSpec
from earthsynth_factory.filtering.thresholds import learn
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.models.weights import EMBEDDED, weight_hashes
from earthsynth_factory.rfilter.judge import Judge, Limits

PER_CLASS = 60
"""Images of a class and dataset that are looked at, of those in which it is the largest."""

FALSE_REJECT = 0.3
"""More than `filter` allows: a generated image that is refused costs another attempt, no photograph."""

OPENED = 1200
"""Images of a dataset that are opened to find them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; gives the error tree's exit code."""
    parser = argparse.ArgumentParser(prog="python -m research.embedded.thresholds", description=__doc__)
    parser.add_argument("datasets", nargs="+", type=Path, help="prepared folders")
    parser.add_argument("--out", type=Path, default=Path("out/thresholds"), help="scores and vectors, for another run")
    parser.add_argument("--write", type=Path, default=EMBEDDED / "thresholds.yaml")
    given = parser.parse_args(arguments)
    try:
        write_bytes(given.write, thresholds(given.datasets, given.out))
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(given.write.read_text())
    return 0


def thresholds(datasets: Sequence[Path], out: Path) -> bytes:
    """The file's content. Raises InputError and its kin."""
    spec, taxonomy = FilterSpec(false_reject=FALSE_REJECT), earthsynth()
    entries = [entry for dataset in datasets for entry in _some(dataset, out)]
    targets = sorted({category for dataset in datasets for category in open_folder(dataset, out).targets})
    folder = LabelledFolder(out, "prepared", "real images", taxonomy, tuple(targets), entries)
    context = StageContext(taxonomy, folder.targets, Path(), "cpu")
    rules = asked_rules(spec.rules, context)
    journal = ScoreJournal(out / "scores.jsonl", folder.names, {rule.name: rule.settings for rule in rules})
    with closing(journal):
        scorer = FolderScorer(entries, journal, out / "vectors", context, HowToScore(watch=_told))
        scorer.score(range(len(entries)), rules)
    judge = Judge(rules, Limits(learnt=learn(spec, rules, journal.scores, True)))
    names = ", ".join(dataset.name for dataset in datasets)
    said = f"{len(entries)} images of {names}, of which at most {FALSE_REJECT:.0%} are refused; weights {weights()}"
    return thresholds_file(folder, judge, said)


def weights() -> str:
    """The first digits of the hashes of CLIP and segmenter, as they stand in the file."""
    found = [weight_hashes(EMBEDDED / part) for part in ("clip", "segmenter")]
    return " ".join(digest[:12] for hashes in found for digest in hashes.values())


def _some(dataset: Path, out: Path) -> Iterator[LabelledImage]:
    """Up to `PER_CLASS` images of every class; which ones follows from their names."""
    taken: dict[int | None, int] = {}
    for entry in sorted(open_folder(dataset, out).entries, key=lambda entry: derive(0, entry.name))[:OPENED]:
        try:
            found = entry.load()
        except FactoryError:
            continue
        if taken.setdefault(found.slot.category, 0) < PER_CLASS and np.ptp(found.image):
            taken[found.slot.category] += 1
            yield replace(entry, name=f"{dataset.name}/{entry.name}")


def _told(done: int, total: int) -> None:
    print(f"\r{done}/{total}", end="" if done < total else "\n", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
