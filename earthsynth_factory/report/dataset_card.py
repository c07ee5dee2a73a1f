"""The dataset card: `README.md` in the output folder. What is in it, how it was made, what it may be used for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from earthsynth_factory.conditions.prompts import PromptSpec
from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.run_record import RunRecord
from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.exports.base import ExportSummary
from earthsynth_factory.io.atomic import write_changed
from earthsynth_factory.io.provenance import DigitalSource


@dataclass
class Counts:
    """Tallies over a store. images: (class id, split) → images that contain it. objects: class id → instances.

    made, passed, kept: class id that was asked for (None: negatives) → images made, those of them that every rule
    passed, and those that are in the dataset. undrawn: likewise → why a condition could not be drawn, the first time.
    """

    accepted: Counter[str] = field(default_factory=Counter)
    images: Counter[tuple[int, str]] = field(default_factory=Counter)
    objects: Counter[int] = field(default_factory=Counter)
    negatives: int = 0
    pairs: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    made: Counter[int | None] = field(default_factory=Counter)
    passed: Counter[int | None] = field(default_factory=Counter)
    kept: Counter[int | None] = field(default_factory=Counter)
    undrawn: dict[int | None, str] = field(default_factory=dict)

    @classmethod
    def of(cls, store: BuildReader) -> Counts:
        """One pass over the journals; memory does not grow with the dataset."""
        counts = cls()
        for record in store.samples():
            counts.accepted[record.split] += 1
            counts.negatives += record.category is None and not record.counterfactual
            counts.pairs += record.counterfactual
            counts.kept[record.category] += 1
            counts.images.update((class_id, record.split) for class_id in record.classes)
            counts.objects.update(instance.category for instance in record.instances)
        for reject in store.rejects():
            counts.rejected.update({reason.rule for reason in reject.reasons})
            if reject.outcome is Outcome.UNDRAWN:
                counts.undrawn.setdefault(reject.category, "; ".join(reason.text for reason in reject.reasons))
            counts.made[reject.category] += reject.made
            counts.passed[reject.category] += reject.passed
        counts.made.update(counts.kept)
        counts.passed.update(counts.kept)
        return counts


def write_card(
    store: BuildReader,
    summaries: Sequence[ExportSummary],
    short: Mapping[tuple[str, str], int],
    doubts: Sequence[str] = (),
) -> None:
    """Write the card from what is on disk. doubts: sentences on what makes the data poor."""
    counts = Counts.of(store)
    sections = [
        _head(store, counts),
        _doubts(doubts),
        _contents(store, counts),
        _shortfalls(short),
        _making(store.run),
        _acceptance(store, counts),
        _rejections(counts),
        _formats(summaries),
        _licences(store.run),
    ]
    write_changed(store.layout.card, "\n\n".join(section for section in sections if section).encode() + b"\n")


_HOW_MADE: Mapping[str, str] = {
    DigitalSource.GENERATED: "These images were made by a model; no satellite took them.",
    DigitalSource.EDITED: "These are real pictures of which a model changed parts; no satellite took them as they are.",
    DigitalSource.COLLAGE: "These images are put together from real pictures; no satellite took them as they are.",
    DigitalSource.DRAWN: "These images were drawn by a program; no satellite took them.",
}


def _head(store: BuildReader, counts: Counts) -> str:
    run = store.run
    synthetic = "**A dry run: the images are coloured masks with grain, made by no model. Do not train on them.**"
    if not run.line.dry:
        synthetic = _HOW_MADE.get(run.line.digital_source, _HOW_MADE[DigitalSource.GENERATED])
    total = sum(counts.accepted.values())
    splits = ", ".join(f"{split} {counts.accepted[split]}" for split in store.splits)
    pairs = (
        f", {counts.pairs} the second of a counterfactual pair (see `pair` in samples.jsonl)" if counts.pairs else ""
    )
    return (
        f"# {run.name}\n\n{synthetic}\n\n"
        f"{total} labelled images ({splits}), {counts.negatives} of them negatives{pairs}."
    )


def _doubts(doubts: Sequence[str]) -> str:
    return "## What to look at first\n\n" + "\n".join(f"- {doubt}" for doubt in doubts) if doubts else ""


def _contents(store: BuildReader, counts: Counts) -> str:
    rows = []
    targets = set(store.run.targets)
    present = {class_id for class_id, _ in counts.images}
    for category in store.taxonomy:
        if category.id in present:
            images = [str(counts.images[category.id, split]) for split in store.splits]
            objects = str(counts.objects[category.id]) if category.thing else "–"
            asked = "yes" if category.id in targets else ""
            rows.append([str(category.id), category.name, asked, *images, objects])
    header = ["id", "class", "asked for", *[f"images, {split}" for split in store.splits], "objects"]
    return "## What is in it\n\n" + markdown_table(header, rows)


def _shortfalls(short: Mapping[tuple[str, str], int]) -> str:
    if not short:
        return ""
    rows = [[name, split, str(count)] for (name, split), count in sorted(short.items())]
    return "## What is missing\n\nFewer images than the recipe asks for:\n\n" + markdown_table(
        ["class", "split", "short"], rows
    )


def _making(run: RunRecord) -> str:
    synthesis = run.line.synthesis
    facts = [
        ("seed", run.recipe["seed"]),
        ("fingerprint", f"`{run.fingerprint}`"),
        *((name, value) for name, value in synthesis.items() if name not in ("licence", "training_data", "notes")),
        *_wording(run.recipe),
        *(("note", note) for note in synthesis.get("notes", [])),
        *run.software.items(),
    ]
    lines = "\n".join(f"- {name}: {value}" for name, value in facts)
    return (
        f"## How it was made\n\n{lines}\n\n"
        "`recipe.yaml` beside this file makes it again; `run.json` holds the resolved recipe and the hashes of all "
        "weights. Every line of `shards/*/samples.jsonl` has the seeds of its condition and its image."
    )


def _wording(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What prompts were drawn from, and what images of a class were led away from, if the recipe says."""
    with suppress(ValidationError):
        if prompts := str(PromptSpec.model_validate(recipe.get("prompts") or {})):
            yield "prompts drawn from", prompts
    for block in recipe.get("categories") or ():
        if isinstance(block, Mapping) and block.get("negative_prompt"):
            yield f"negative prompt of {block.get('name')}", str(block["negative_prompt"])


def _acceptance(store: BuildReader, counts: Counts) -> str:
    if not store.run.rules:
        return ""
    rows = []
    for category in [*store.run.targets, None]:
        made, passed = counts.made[category], counts.passed[category]
        if made:
            name = store.taxonomy.asked_for(category)
            rows.append([name, str(made), str(passed), f"{passed / made:.0%}", str(counts.kept[category])])
    return (
        "## What the filter passed\n\nOf several images that passed for one mask the best is kept.\n\n"
        + markdown_table(["made for", "images", "passed every rule", "share", "kept"], rows)
    )


def _rejections(counts: Counts) -> str:
    if not counts.rejected:
        return ""
    rows = [[reason, str(count)] for reason, count in counts.rejected.most_common()]
    return "## What was not kept\n\n" + markdown_table(["reason", "images or conditions"], rows)


def _formats(summaries: Sequence[ExportSummary]) -> str:
    if not summaries:
        return ""
    rows = [
        [f"`exports/{item.kind}`", ", ".join(f"{split} {count}" for split, count in item.counts.items()), *_notes(item)]
        for item in summaries
    ]
    return "## Formats\n\n" + markdown_table(["folder", "images", "notes"], rows)


def _notes(summary: ExportSummary) -> list[str]:
    return [" ".join(summary.notes)]


def _licences(run: RunRecord) -> str:
    found = [f"Image model: {run.line.model}; {_terms(run)}"]
    found += [f"Image model trained on: {data}" for data in run.line.training_data]
    found += [f"Beside it: {part}; licence and training data unknown" for part in _beside(run)]
    found += [f"Masks: {licence}" for licence in run.line.licences]
    return "## Licences\n\n" + "\n".join(f"- {entry}" for entry in found)


def _beside(run: RunRecord) -> list[str]:
    """What a recipe put beside the image model: nothing says of these what they may be used for."""
    found = {"autoencoder": "vae", "LoRAs": "loras", "IP-Adapter": "style", "ControlNets": "controls"}
    return [f"{words} {run.line.synthesis[key]}" for words, key in found.items() if run.line.synthesis.get(key)]


def _terms(run: RunRecord) -> str:
    licence = run.line.licence or "none"
    known = run.line.training_data or licence != "unknown"
    return licence if known else "licence and training data unknown"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The rows under their header, as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
