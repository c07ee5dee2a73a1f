"""What a report is about: every image that was made, one by one, and what is known of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from earthsynth_factory.domain.condition import InstanceMap, Mask, Origin
from earthsynth_factory.domain.outcome import Outcome, Reason
from earthsynth_factory.domain.sample import Image, Instance
from earthsynth_factory.domain.taxonomy import Taxonomy

NOTHING = -1
"""Stands for "no class" among class ids: negatives, images without any label."""

ALL = -2
"""Stands for all classes together."""


@dataclass(frozen=True, eq=False)
class ImagePixels:
    """image: (H, W, 3) sRGB. mask: (H, W) class ids, numbers: (H, W) instance ids; None if neither was kept. source: what
    its file says of how it came to be.
    """

    image: Image
    mask: Mask | None = None
    numbers: InstanceMap | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ReportImage:
    """One image. groups: class ids it is counted under (its target; of real images, all in it), or `NOTHING`.

    attempt, seeds, prompt, metres_per_pixel, origin: None if they are not known. pixels: reads them; raises
    SourceError; None if the image was not kept.
    """

    name: str
    outcome: Outcome
    groups: tuple[int, ...]
    split: str
    reasons: tuple[Reason, ...] = ()
    scores: Mapping[str, float | None] = field(default_factory=dict)
    instances: tuple[Instance, ...] = ()
    size: tuple[int, int] | None = None
    metres_per_pixel: float | None = None
    prompt: str | None = None
    attempt: int | None = None
    condition_seed: int | None = None
    image_seed: int | None = None
    origin: Origin | None = None
    final: bool = False
    pixels: Callable[[], ImagePixels] | None = None

    @property
    def key(self) -> str:
        """Unique in the dataset."""
        return f"{self.name}/{self.attempt}"

    def without_instances(self) -> ReportImage:
        """The entry as a gallery needs it: a scene with a thousand objects takes as little memory as any."""
        return replace(self, instances=())


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """least: class id or `ALL` → least value of the rule's score; empty if it is not known. others: further limits,
    name → value.
    """

    least: Mapping[int, float]
    others: Mapping[str, str] = field(default_factory=dict)

    def of(self, class_id: int) -> float | None:
        """The least value for a class."""
        return self.least.get(class_id, self.least.get(ALL))


@dataclass(frozen=True)
class Subject:
    """asked: (class id or `NOTHING`, split) → images; empty if nobody asked for counts. state: a sentence on how far it
    is, empty if it is finished. doubts: sentences on what makes the data poor. absent: sections that have nothing to show
    → why. making: facts in groups. document: the resolved recipe. commands: (what for, command line). command: the line that
    makes one image again; {name} and {attempt} stand for it.
    """

    name: str
    lead: str
    taxonomy: Taxonomy
    splits: Sequence[str]
    entries: Callable[[], Iterator[ReportImage]]
    asked: Mapping[tuple[int, str], int] = field(default_factory=dict)
    state: str = ""
    doubts: Sequence[str] = ()
    rules: Mapping[str, RuleFacts] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    making: Sequence[tuple[str, Sequence[tuple[str, str]]]] = ()
    document: str = ""
    commands: Sequence[tuple[str, str]] = ()
    command: str = ""

    def class_name(self, class_id: int) -> str:
        """For people."""
        if class_id == NOTHING:
            return "negatives" if self.asked else "no class"
        return self.taxonomy[class_id].name if class_id in self.taxonomy else f"class {class_id}"
