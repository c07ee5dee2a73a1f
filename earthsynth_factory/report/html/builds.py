"""A build's output as the subject of a report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.records import RejectRecord, SampleRecord
from earthsynth_factory.domain.outcome import Outcome
from earthsynth_factory.domain.plugins import spec_class
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io.bounded import read_bounded
from earthsynth_factory.io.provenance import source_type_of
from earthsynth_factory.report.html.markup import number
from earthsynth_factory.report.html.model import ALL, NOTHING, ImagePixels, ReportImage, RuleFacts, Subject
from earthsynth_factory.rfilter.base import KINDS, RuleSpec


def subject_of_build(
    store: BuildReader, asked: Mapping[tuple[int | None, str], int], split_of: Callable[[int], str]
) -> Subject:
    """asked: (class id or None for negatives, split) → images. split_of: slot → split. Raises StoreError."""
    rules = dict(_rules(store))
    return Subject(
        name=store.name,
        lead=_lead(store),
        taxonomy=store.taxonomy,
        splits=store.splits,
        entries=partial(_entries, store, split_of),
        asked={(_group(class_id), split): number for (class_id, split), number in asked.items()},
        state=_state(store),
        doubts=_doubts(store),
        rules=rules,
        absent={} if rules else {"scores": "The recipe has no rules, so nothing was scored."},
        making=_making(store),
        document=json.dumps(_decisive(store.run.recipe), indent=2, ensure_ascii=False),
        commands=_COMMANDS,
        command="earthsynth-factory remake . {name} --attempt {attempt} --out remade",
    )


_HOW = {"engine", "exports", "batch", "compile", "notes"}
"""Keys of a recipe and of a generator's facts that say how the work was done; no pixel depends on them."""

_COMMANDS = (
    ("the whole dataset, from the recipe as it was given", "earthsynth-factory build recipe.yaml --out again"),
    ("one image: its slot, and the attempt that was kept", "earthsynth-factory remake . 12 --out remade"),
    ("one that was not kept", "earthsynth-factory remake . 12 --attempt 3 --out remade"),
)


def _lead(store: BuildReader) -> str:
    if store.run.line.dry:
        return "A dry run: the images are coloured masks with grain, made by no model. Do not train on them."
    return "These images were made by a model; no satellite took them."


def _state(store: BuildReader) -> str:
    done, total = store.shards
    if done == total:
        return ""
    return f"Unfinished: {done} of {total} shards are committed. The figures are those of what is recorded so far."


def _doubts(store: BuildReader) -> tuple[str, ...]:
    """What the build said of its data when it was finished."""
    path = store.layout.doubts
    try:
        found = json.loads(read_bounded(path)) if path.is_file() else []
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: damaged ({error}); remove this one file and run the same build command again"
        ) from error
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _entries(store: BuildReader, split_of: Callable[[int], str]) -> Iterator[ReportImage]:
    for slot, rejects, sample in store.slots():
        split = sample.split if sample else split_of(slot)
        light = replace(sample, instances=()) if sample else None
        for reject in rejects:
            yield _rejected(store, reject, split, light)
        if sample and light:
            yield _kept(store, sample, light)


def _kept(store: BuildReader, record: SampleRecord, light: SampleRecord) -> ReportImage:
    return ReportImage(
        name=record.stem,
        outcome=Outcome.KEPT,
        groups=(_group(record.category),),
        split=record.split,
        scores=record.scores,
        instances=record.instances,
        size=(record.width, record.height),
        metres_per_pixel=record.metres_per_pixel,
        prompt=record.prompt,
        attempt=record.attempt,
        condition_seed=record.condition_seed,
        image_seed=record.image_seed,
        origin=record.origin,
        pixels=lambda: ImagePixels(
            store.image(light), store.mask(light), store.instances(light), source_type_of(store.image_file(light))
        ),
    )


def _rejected(store: BuildReader, reject: RejectRecord, split: str, sample: SampleRecord | None) -> ReportImage:
    """What is known of a candidate's condition beyond its seed is known if the slot's sample has the same one."""
    same = sample if sample and sample.condition_seed == reject.condition_seed else None
    kept = reject.image_seed is not None and store.rejected_path(reject).is_file()

    def pixels() -> ImagePixels:
        image = store.rejected_image(reject)
        source = source_type_of(store.rejected_path(reject))
        if same is None:
            return ImagePixels(image, source=source)
        return ImagePixels(image, store.mask(same), store.instances(same), source)

    return ReportImage(
        name=f"{reject.slot:07d}",
        outcome=reject.outcome,
        groups=(_group(reject.category),),
        split=split,
        reasons=reject.reasons,
        scores=reject.scores,
        metres_per_pixel=same.metres_per_pixel if same else None,
        prompt=same.prompt if same else None,
        attempt=reject.attempt,
        condition_seed=reject.condition_seed,
        image_seed=reject.image_seed,
        origin=same.origin if same else None,
        final=reject.short,
        pixels=pixels if kept else None,
    )


def _group(class_id: int | None) -> int:
    return NOTHING if class_id is None else class_id


def _rules(store: BuildReader) -> Iterator[tuple[str, RuleFacts]]:
    """Rule → its limits. A plug-in's are not known: what a folder's record names is not imported to look at it."""
    seen, learnt = dict[str, int](), _learnt(store)
    for block in store.run.rules:
        kind = str(block.get("kind"))
        seen[kind] = seen.get(kind, 0) + 1
        name = kind if seen[kind] == 1 else f"{kind}#{seen[kind]}"
        yield name, _limits(kind, block, learnt.get(kind, {})) if kind in KINDS else RuleFacts({})


def _limits(kind: str, block: Mapping[str, Any], learnt: Mapping[int, float]) -> RuleFacts:
    """learnt: thresholds from a file, which stand in place of the block's own."""
    spec = spec_class(kind, KINDS, "rule")
    assert issubclass(spec, RuleSpec)
    least = block.get(spec.threshold)
    own = {ALL: float(least)} if isinstance(least, int | float) else {}
    others = {name: f"{block[name]}" for name in sorted(spec.deciding - {spec.threshold}) if name in block}
    return RuleFacts({**own, **learnt}, others)


def _learnt(store: BuildReader) -> dict[str, dict[int, float]]:
    """Rule → class id or `ALL` → least value, of the thresholds that a file brought. Raises StoreError."""
    try:
        return {
            str(rule): {ALL if word == "all" else int(word): float(least) for word, least in classes.items()}
            for rule, classes in store.run.identity.get("thresholds", {}).items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"{store.layout.run}: damaged identity.thresholds ({error})") from error


def _making(store: BuildReader) -> list[tuple[str, list[tuple[str, str]]]]:
    run = store.run
    recipe = run.recipe
    rfilter = recipe.get("rfilter", {})
    groups = [
        ("Build", {"seed": recipe.get("seed"), "fingerprint": run.fingerprint}),
        ("Images", _decisive(run.line.synthesis or recipe.get("synthesis", {}))),
        ("Filter", {name: rfilter.get(name) for name in ("candidates", "max_attempts")} | _settings(rfilter)),
        ("Thresholds from a file, in place of the rules' own", _thresholds(store)),
        ("Software", dict(run.software)),
    ]
    return [(title, [_fact(name, value) for name, value in found.items() if value]) for title, found in groups if found]


def _decisive(block: Mapping[str, Any]) -> dict[str, Any]:
    """The block without what equal datasets may have been made differently by, so that their reports are equal too."""
    kept = ((key, value) for key, value in block.items() if key not in _HOW)
    return {key: _decisive(value) if isinstance(value, dict) else value for key, value in kept}


def _thresholds(store: BuildReader) -> dict[str, str]:
    def words(class_id: int, least: float) -> str:
        known = class_id in store.taxonomy
        return f"{store.taxonomy[class_id].name if known else 'all'} {number(least)}"

    return {rule: ", ".join(words(*one) for one in classes.items()) for rule, classes in _learnt(store).items()}


def _fact(name: str, value: object) -> tuple[str, str]:
    return str(name).replace("_", " "), _said(value)


def _settings(rfilter: Mapping[str, Any]) -> dict[str, str]:
    """The rules with their settings, in the recipe's order."""
    return {
        f"rule {place}": f"{block.get('kind')}: "
        + ", ".join(f"{key} {_said(block[key])}" for key in block if key != "kind")
        for place, block in enumerate(rfilter.get("rules", []), start=1)
    }


def _said(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(_said, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
