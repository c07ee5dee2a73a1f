"""The lines of a shard's journals, as types. A line is one JSON object; its keys are the field names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from earthsynth_factory.domain.condition import Origin
from earthsynth_factory.domain.outcome import NO_CONDITION, Outcome, Reason
from earthsynth_factory.domain.sample import Instance, Sample, Score, Slot
from earthsynth_factory.geometry.given import Given
from earthsynth_factory.io.gates import plain_name

ClassId = Annotated[int, Field(ge=0, le=254)]
SlotNumber = Annotated[int, Field(ge=0, le=9_999_999)]
Side = Annotated[int, Field(ge=1, le=1 << 29)]
Seed = Annotated[int, Field(ge=0, lt=1 << 64)]
Scores = Mapping[str, float | None]
"""Rule → value; None if the rule does not apply, for JSON has no NaN."""


def _sound(instance: Instance) -> Instance:
    """The instance. Raises ValueError if its numbers cannot be those of an object."""
    if not 1 <= instance.id <= 0xFFFF or not 0 <= instance.category <= 254:
        raise ValueError("an object has an id of 1–65535 and a category of 0–254")
    x, y, width, height = instance.box
    if min(x, y, width, height, instance.area) < 0 or max(x + width, y + height) > 1 << 29:
        raise ValueError("an object's box is x, y, width, height in pixels, its area a count of them")
    if instance.area > MAX_NUMBER:
        raise ValueError("an object's area is a count of pixels")
    if not 0 <= instance.visible <= 1 or not instance.rle.isascii():
        raise ValueError("an object is visible to a share of 0–1, its run lengths are ASCII")
    if instance.given is not None:
        _check_given(instance.given)
    return instance


def _check_given(given: Given) -> None:
    numbers = [*(given.box or ()), *(number for ring in given.rings() for number in ring)]
    if not given.rings() or any(len(ring) < 6 or len(ring) % 2 for ring in given.rings()):
        raise ValueError("what was given of an object is neither polygons, nor a box, nor corners")
    if not all(abs(number) <= MAX_GIVEN for number in numbers):
        raise ValueError("what was given of an object lies millions of pixels away")


def _bounded(origin: Origin) -> Origin:
    """The origin. Raises ValueError if a number in it is none that JSON can be written with."""
    if any(isinstance(value, int | float) and not abs(value) <= MAX_NUMBER for value in origin.detail.values()):
        raise ValueError("a detail of the origin is a number without end")
    return origin


MAX_NUMBER = 1 << 62
"""Greatest whole number in a record, seeds apart: JSON is written with 64 bits."""

MAX_GIVEN = 1e7
"""No corner of an object lies farther away, in pixels."""

Objects = tuple[Annotated[Instance, AfterValidator(_sound)], ...]


@dataclass(frozen=True, slots=True)
class PairRecord:
    """Which image of which counterfactual pair a sample is: see `domain.sample.Pair`."""

    id: SlotNumber
    category: ClassId
    instead: ClassId | None
    counterfactual: bool


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """An accepted sample without its pixels: a line of `samples.jsonl`.

    slot: number in the plan, also file stem and COCO image id. category: target class id, None for a negative.
    width, height: pixels. classes: ids present, ascending. scores: rule → value. attempt, condition_seed and image_seed
    with the recipe remake the image. pair: the counterfactual pair it is of; the other image has the same `pair.id`.
    """

    slot: SlotNumber
    category: ClassId | None
    split: Annotated[str, AfterValidator(plain_name)]
    width: Side
    height: Side
    metres_per_pixel: Annotated[float, Field(ge=0, lt=1e6)]
    prompt: str
    classes: tuple[ClassId, ...]
    instances: Objects
    scores: Scores
    attempt: Annotated[int, Field(ge=0, lt=1 << 31)]
    condition_seed: Seed
    image_seed: Seed
    origin: Annotated[Origin, AfterValidator(_bounded)]
    pair: PairRecord | None = None

    @property
    def stem(self) -> str:
        return f"{self.slot:07d}"

    @property
    def counterfactual(self) -> bool:
        """Whether it is the second image of a pair."""
        return self.pair is not None and self.pair.counterfactual

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
            pair=_pair(candidate.slot),
        )

    @classmethod
    def parse(cls, line: bytes) -> SampleRecord:
        """The record in a line. Raises ValueError that says what is wrong with it."""
        return parsed(line, cls)


@dataclass(frozen=True, slots=True)
class RejectRecord:
    """A candidate that was not kept, or a condition that could not be drawn: a line of `rejects.jsonl`.

    attempt: number of the image, or of the first image of a condition that could not be drawn. outcome: all but `KEPT`.
    scores: rule → value, empty without an image; the seeds are None then. short: True on the last line of a slot that
    stays empty.
    """

    slot: SlotNumber
    category: ClassId | None
    attempt: Annotated[int, Field(ge=0, lt=1 << 31)]
    outcome: Outcome
    reasons: tuple[Reason, ...]
    scores: Scores
    condition_seed: Seed | None
    image_seed: Seed | None
    short: bool = False

    @property
    def made(self) -> bool:
        """Whether there was an image; without a condition there was none."""
        return self.outcome is not Outcome.UNDRAWN

    @property
    def passed(self) -> bool:
        """Whether every rule passed the image and only a better one of its condition was taken instead."""
        return self.outcome is Outcome.SPARE

    @classmethod
    def parse(cls, line: bytes) -> RejectRecord:
        """The record in a line. Raises ValueError that says what is wrong with it."""
        return parsed(line, cls)


Record = TypeVar("Record")


def parsed(line: bytes, kind: type[Record]) -> Record:
    """The line as a dataclass of this kind, every field checked. Raises ValueError that names the first wrong field."""
    try:
        found: Record = _adapter(kind).validate_json(line, strict=True)  # type: ignore[arg-type]  # a class is hashable
        return found
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise ValueError(f"{place or 'the line'}: {fault['msg']}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def instance_fields(instance: Instance) -> dict[str, Any]:
    """The instance as plain values for a line of JSON; `given` is left out if there is none."""
    values = {field.name: getattr(instance, field.name) for field in fields(Instance)}
    given = values.pop("given")
    return {**values, "given": given.fields()} if given else values


def to_line(record: SampleRecord | RejectRecord) -> bytes:
    """The record as one line of JSON with its newline; equal records give equal bytes."""
    values = {
        field.name: getattr(record, field.name) for field in fields(record)
    }  # `asdict` would copy all that is in them
    if isinstance(record, SampleRecord):
        values["instances"] = [instance_fields(instance) for instance in record.instances]
        if record.pair is None:
            del values["pair"]
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def _pair(slot: Slot) -> PairRecord | None:
    pair = slot.pair
    return None if pair is None else PairRecord(pair.id, pair.category, pair.instead, pair.counterfactual)


def _values(scores: Mapping[str, Score]) -> dict[str, float]:
    # Six digits: enough to compare, few enough that another BLAS does not change the journal.
    return {name: round(score.value, 6) for name, score in scores.items()}


def undrawn(slot: Slot, attempt: int, why: str) -> RejectRecord:
    """The record of a condition that could not be drawn."""
    reason = Reason(NO_CONDITION, why)
    return RejectRecord(slot.index, slot.category, attempt, Outcome.UNDRAWN, (reason,), {}, None, None)
