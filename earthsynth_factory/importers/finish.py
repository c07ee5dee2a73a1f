"""The last step of `prepare`: the files that list everything, derived from the journal, streamed, in scene order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from earthsynth_factory.datasets.prepared.document import read_dataset_file
from earthsynth_factory.datasets.prepared.layout import PreparedLayout
from earthsynth_factory.datasets.prepared.writer import streamed_dataset
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, Taxonomy
from earthsynth_factory.errors import SourceError, StoreError
from earthsynth_factory.importers.prepare_journal import Journal
from earthsynth_factory.importers.scene import Notes, Scene, Source
from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.io.printable import one_line


@dataclass(frozen=True, slots=True)
class PrepareSummary:
    """What a prepared folder holds. pixels, objects: by category name. left_out: what was dropped, by reason.
    remarks: what was used otherwise than it stands in the source, by sentence.
    ignored: pixels of which nobody says what they are. found: images, objects and classes that the source has, and how many
    of its images are used; objects are 0 if the source has pixels alone.
    """

    kind: str
    recognised: str
    images: int
    pixels: dict[str, int]
    objects: dict[str, int]
    left_out: dict[str, int]
    problems: int
    remarks: dict[str, int] = field(default_factory=dict)
    ignored: int = 0
    found: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, out: Path, kind: str, recognised: str) -> PrepareSummary:
        """As `dataset.json` states it."""
        try:
            with PreparedLayout(out).dataset.open("rb") as file:
                about, facts = read_dataset_file(file, PreparedLayout(out).dataset)
            return cls(kind, recognised, len(about.items), **facts["counts"])
        except (OSError, SourceError, KeyError, TypeError) as error:
            raise StoreError(
                f"{PreparedLayout(out).dataset}: missing or damaged; remove it and prepare again"
            ) from error


@dataclass(slots=True)
class _Tally:
    pixels: Counter[int]
    objects: Counter[int]
    left_out: Counter[str]
    remarks: Counter[str]
    problems: list[str]


def problems_of(out: Path) -> tuple[Path, list[str]]:
    """The file in which is written down what was skipped and why, and its sentences."""
    place = PreparedLayout(out).problems
    return place, place.read_text(encoding="utf-8").splitlines()


def write_problems(out: Path, problems: Iterable[str]) -> Path:
    """Write down what was skipped and why; gives the file. Raises DiskError."""
    place = PreparedLayout(out).problems
    write_bytes(place, "".join(f"{one_line(problem)}\n" for problem in problems).encode())
    return place


def is_finished(out: Path) -> bool:
    """Whether every derived file stands."""
    layout = PreparedLayout(out)
    return all(path.is_file() for path in (layout.dataset, layout.train, layout.problems))


def finish(
    out: Path,
    source: Source,
    taxonomy: Taxonomy,
    scenes: list[Scene],
    journal: Journal,
    notes: Notes,
    imagery: dict[str, Any],
) -> None:
    """Write train.jsonl, instances.jsonl, problems.txt and, last, dataset.json. imagery: how images became pictures.

    Raises `SourceError` if no scene could be used at all; then no dataset.json is written.
    """
    tally = _Tally(Counter(), Counter(), Counter(notes.left_out), +notes.remarks, list(notes.faults))
    used = 0
    with streamed_dataset(out) as streamed:
        for record in journal.records(scene.stem for scene in scenes):
            tally.left_out.update(record["left_out"])
            tally.remarks.update(record.get("remarks", {}))
            tally.problems.extend(record["faults"])
            used += bool(record["items"])
            for item in record["items"]:
                _count(tally, item)
                streamed.add(item["stem"], item["about"], item["lines"], item["instances"])
        tally.left_out, tally.remarks = +tally.left_out, +tally.remarks
        place = write_problems(out, tally.problems)
        if not used:
            raise SourceError(f"{source.info.name}: {_nothing_left(tally, len(scenes), place)}")
        streamed.close(
            {
                **asdict(source.info),
                **({"imagery": imagery} if imagery else {}),
                "classes": {str(c): taxonomy[c].name for c in sorted(tally.pixels) if c not in (BACKGROUND, IGNORE)},
                "counts": _counts(tally, taxonomy, source, len(scenes), used),
            }
        )


def _counts(tally: _Tally, taxonomy: Taxonomy, source: Source, images: int, used: int) -> dict[str, Any]:
    """The fields of `PrepareSummary` that are not known otherwise."""
    ignored = tally.pixels.pop(IGNORE, 0)
    return {
        "pixels": _named(tally.pixels, taxonomy),
        "objects": _named(tally.objects, taxonomy),
        "left_out": dict(sorted(tally.left_out.items())),
        "remarks": dict(sorted(tally.remarks.items())),
        "problems": len(tally.problems),
        "ignored": ignored,
        "found": {
            "images": images,
            "objects": source.objects,
            "classes": sum(count != 0 for count in source.words.values()),
            "images used": used,
        },
    }


def _nothing_left(tally: _Tally, images: int, place: Path) -> str:
    """Why, with what may be done about it."""
    reasons = ", ".join(f"{count}× {reason}" for reason, count in tally.left_out.items())
    if tally.problems:
        more = f"; also left out: {reasons}" if reasons else ""
        listed = f"{len(tally.problems)} problems, listed in {place}; the first: {tally.problems[0]}"
        return f"not one of {images} images could be used: {listed}{more}"
    if set(tally.left_out) == {"empty crop"}:
        return f"{images} images read, all without any class; --keep-empty 1 keeps them"
    return f"{images} images read, nothing of them is left: {reasons or 'they are empty'}"


def _count(tally: _Tally, item: dict[str, Any]) -> None:
    for category, pixels in item["pixels"].items():
        tally.pixels[int(category)] += pixels
    for instance in item["instances"] or ():
        tally.objects[instance["category"]] += 1


def _named(counts: Counter[int], taxonomy: Taxonomy) -> dict[str, int]:
    return {taxonomy[category].name: counts[category] for category in sorted(counts)}
