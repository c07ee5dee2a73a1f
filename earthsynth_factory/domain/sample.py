"""What becomes of a condition: a candidate has an image, a verdict judges it, a kept one is a sample with labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from earthsynth_factory.domain.condition import Condition, InstanceMap, Mask
from earthsynth_factory.domain.condition import Image as Image
from earthsynth_factory.domain.outcome import Reason
from earthsynth_factory.geometry.given import Given


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images of one scene that differ by one object, and are equal to the bit elsewhere.

    id: index of the factual image's slot. category: class of the object there. instead: class of what stands in its place
    in the counterfactual image; None: nothing. counterfactual: which of the two this is.
    """

    id: int
    category: int
    instead: int | None
    counterfactual: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """One image the user asked for.

    index: its number in the plan; also file stem and COCO image id. category: the class id the image must contain, or
    None for a negative. split: the split it belongs to. seed: everything random about it derives from this.
    ordinal: its number among the slots of its category and split, for sources that go through a list in order.
    pair: which image of which pair it is, if it is of one; both slots of a pair have one seed.
    """

    index: int
    category: int | None
    split: str
    seed: int
    ordinal: int = 0
    pair: Pair | None = None

    @property
    def stem(self) -> str:
        """File stem, the same for image, masks and labels."""
        return f"{self.index:07d}"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A condition with an image made for it. `attempt` counts the images made for the slot, from 0.

    twin: the other image of its pair, if the slot is of one.
    """

    slot: Slot
    attempt: int
    image_seed: int
    condition: Condition
    image: Image
    twin: Candidate | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """What one rule says of one candidate. value: higher is better. reason: for a person, empty if it passed."""

    value: float
    passed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All rules' scores for a candidate, and whether it may be kept.

    rank: the number by which the best of several candidates is chosen; higher is better.
    """

    scores: Mapping[str, Score]
    rank: float

    @property
    def kept(self) -> bool:
        """True if every rule passed."""
        return all(score.passed for score in self.scores.values())

    @property
    def reasons(self) -> list[Reason]:
        """Those of every rule that did not pass, in the order of the rules."""
        return [Reason(name, score.reason) for name, score in self.scores.items() if not score.passed]


@dataclass(frozen=True, eq=False)
class Instance:
    """One object. Its pixels are the RLE; box and area are derived from them. What its source drew is kept beside.

    id: 1 … n within the image. box: (x, y, width, height) in pixels, tight. area: pixels of the mask.
    rle: COCO's compressed run lengths over an (H, W) mask, `counts` as ASCII text.
    visible: share of the object that is seen, in (0, 1]. truncated: it touches the image's border. flags: what a real
    dataset says of it: `crowd` (uncounted objects), `difficult`. given: the corners of a real dataset's object; None if
    pixels are all there is.
    """

    id: int
    category: int
    box: tuple[int, int, int, int]
    area: int
    rle: str
    visible: float
    truncated: bool
    flags: tuple[str, ...] = ()
    given: Given | None = None


@dataclass(frozen=True, eq=False)
class Labels:
    """The truth of one image.

    semantic: (H, W) uint8 class ids. instance_map: (H, W) uint16, the ids of `instances`. classes: present, ascending.
    """

    instances: tuple[Instance, ...]
    instance_map: InstanceMap
    semantic: Mask
    classes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """An accepted candidate with its verdict and labels: what the store keeps."""

    candidate: Candidate
    verdict: Verdict
    labels: Labels
