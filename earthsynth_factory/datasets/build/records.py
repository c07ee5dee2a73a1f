"""The lines of a shard's journals, as types. A line is one JSON object; its keys are the field names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson

from earthsynth_factory.domain.condition import Origin
from earthsynth_factory.domain.sample import Instance, Sample, Score, Slot
from earthsynth_factory.geometry.given import Given

NOT_BEST = "not the best of"
"""How the reason begins of an image that every rule passed and that was not kept all the same."""


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """An accepted sample without its pixels: a line of `samples.jsonl`.

    slot: number in the plan, also file stem and COCO image id. category: target class id, None for a negative.
    width, height: pixels. classes: ids present, ascending. scores: rule → value. attempt, condition_seed and image_seed
    with the recipe remake the image.
    """

    slot: int
    category: int | None
    split: str
    width: int
    height: int
    metres_per_pixel: float
    prompt: str
    classes: tuple[int, ...]
    instances: tuple[Instance, ...]
    scores: Mapping[str, float]
    attempt: int
    condition_seed: int
    image_seed: int
    origin: Origin

    @property
    def stem(self) -> str:
        return f"{self.slot:07d}"

    @classmethod
    def of(cls, sample: Sample) -> SampleRecord:
        """The record of a sample."""
        candidate, condition = sample.candidate, sample.candidate.condition
        height, width = condition.mask.shape
        return cls(
            slot=candidate.slot.index,
            category=candidate.slot.category,
            split=candidate.slot.split,
            width=width,
            height=height,
            metres_per_pixel=condition.metres_per_pixel,
            prompt=condition.prompt,
            classes=sample.labels.classes,
            instances=sample.labels.instances,
            scores=_values(sample.verdict.scores),
            attempt=candidate.attempt,
            condition_seed=condition.seed,
            image_seed=candidate.image_seed,
            origin=condition.origin,
        )

    @classmethod
    def parse(cls, line: bytes) -> SampleRecord:
        """The record in a line. Raises ValueError, KeyError or TypeError where it is no such line."""
        data = orjson.loads(line)
        data["classes"] = tuple(data["classes"])
        data["instances"] = tuple(instance_of(item) for item in data["instances"])
        data["origin"] = Origin(**data["origin"])
        return cls(**data)


@dataclass(frozen=True, slots=True)
class RejectRecord:
    """A candidate that was not kept, or a condition that could not be drawn: a line of `rejects.jsonl`.

    attempt: number of the image, or of the first image of a condition that could not be drawn. scores: rule → value,
    empty without an image; the seeds are None then. short: True on the last line of a slot that stays empty.
    """

    slot: int
    category: int | None
    attempt: int
    reasons: tuple[str, ...]
    scores: Mapping[str, float]
    condition_seed: int | None
    image_seed: int | None
    short: bool = False

    @property
    def made(self) -> bool:
        """Whether there was an image; without a condition there was none."""
        return self.image_seed is not None

    @property
    def passed(self) -> bool:
        """Whether every rule passed the image and only a better one of its condition was taken instead."""
        return self.made and all(reason.startswith(NOT_BEST) for reason in self.reasons)

    @classmethod
    def parse(cls, line: bytes) -> RejectRecord:
        """The record in a line. Raises ValueError, KeyError or TypeError where it is no such line."""
        data = orjson.loads(line)
        data["reasons"] = tuple(data["reasons"])
        return cls(**data)


def instance_of(data: Mapping[str, Any]) -> Instance:
    """The instance in a parsed line. Raises KeyError, TypeError or ValueError where it is none."""
    given = Given.parse(data["given"]) if "given" in data else None
    return Instance(**{**data, "box": tuple(data["box"]), "flags": tuple(data.get("flags", ())), "given": given})


def instance_fields(instance: Instance) -> dict[str, Any]:
    """The instance as plain values for a line of JSON; `given` is left out where there is none."""
    values = {field.name: getattr(instance, field.name) for field in fields(Instance)}
    given = values.pop("given")
    return {**values, "given": given.fields()} if given else values


def to_line(record: SampleRecord | RejectRecord) -> bytes:
    """The record as one line of JSON with its newline; equal records give equal bytes."""
    values = asdict(record)
    if isinstance(record, SampleRecord):
        values["instances"] = [instance_fields(instance) for instance in record.instances]
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def _values(scores: Mapping[str, Score]) -> dict[str, float]:
    # Six digits: enough to compare, few enough that another BLAS does not change the journal.
    return {name: round(score.value, 6) for name, score in scores.items()}


def reject_of(slot: Slot, attempt: int, reason: str) -> RejectRecord:
    """The record of a condition that could not be drawn."""
    return RejectRecord(slot.index, slot.category, attempt, (reason,), {}, None, None)
