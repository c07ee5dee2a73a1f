"""The contract of a condition source: answer a `Want` with a `Condition`, from its seed alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.domain.condition import Condition, Mask
from earthsynth_factory.domain.masks import present_ids
from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.domain.taxonomy import Category, Taxonomy

KINDS = {
    "dataset": "earthsynth_factory.conditions.from_dataset:DatasetSpec",
    "compose": "earthsynth_factory.conditions.compose:ComposeSpec",
    "procedural": "earthsynth_factory.conditions.procedural:ProceduralSpec",
    "vector": "earthsynth_factory.conditions.vector:VectorSpec",
}
"""Sources that ship: kind → spec class. A new one is a file and a line here."""


@dataclass(frozen=True, slots=True)
class WantedPair:
    """The condition is to come with its `twin`: the same scene without one object, or with another in its place.

    instead: category of that other object; None: nothing. counterfactual: which of the two is asked for, the other is the
    twin.
    """

    instead: Category | None
    counterfactual: bool


@dataclass(frozen=True, slots=True)
class Want:
    """What one draw is to deliver.

    category: must be present; None asks for a negative, in which nothing of `avoid` is present.
    height, width: pixels. metres_per_pixel: ground sampling distance of the mask.
    instances: lowest and highest number of instances of the category (a thing), or None for the source's own choice.
    object_size: longer side of each object in metres, low and high, or None for the source's true-to-scale choice.
    context: class ids the surroundings may be drawn from, or None for the source's own choice.
    avoid: class ids that must not appear. split: the source uses only groups of this split. seed: decides all else.
    ordinal: number of this want among those of its category and split, for sources that go through a list in order.
    pair: asks for two scenes, of sources that make pairs.
    """

    category: Category | None
    height: int
    width: int
    metres_per_pixel: float
    instances: tuple[int, int] | None
    object_size: tuple[float, float] | None
    context: tuple[int, ...] | None
    avoid: frozenset[int]
    split: str
    seed: int
    ordinal: int = 0
    pair: WantedPair | None = None

    @property
    def shown(self) -> tuple[int, ...] | None:
        """Class ids that may be in view: of the surroundings and the category; None if the source chooses."""
        if self.context is None:
            return None
        return (*self.context, self.category.id) if self.category else self.context

    def avoided_in(self, mask: Mask) -> str | None:
        """Named if a class that must not appear is in the mask."""
        found = sorted(self.avoid.intersection(present_ids(mask)))
        return f"class {found[0]} in view, which is to be avoided" if found else None

    def miscounted(self, number: int) -> str | None:
        """What is wrong with this many instances of the category."""
        if self.instances is None or self.category is None or self.instances[0] <= number <= self.instances[1]:
            return None
        return f"another number of {self.category.name!r} than {self.instances[0]}..{self.instances[1]}"

    def missized(self, metres: Iterable[float]) -> str | None:
        """What is wrong with objects of the category of such lengths."""
        if self.object_size is None or self.category is None:
            return None
        low, high = self.object_size
        return (
            None
            if all(low <= one <= high for one in metres)
            else f"a {self.category.name!r} outside {low:g}..{high:g} m"
        )


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What every source is built with.

    base: folder that relative paths of the recipe start from. cache: folder for indexes that may be thrown away.
    shares: split → share. seed: the recipe's, for dealing groups to splits.
    """

    taxonomy: Taxonomy
    prompts: PromptWriter
    shares: Mapping[str, float]
    seed: int
    base: Path
    cache: Path


class ConditionSource(ABC):
    """Draws conditions. Built by its spec; `draw` may be called from several threads at once."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A stable text that changes whenever the source's content would give other conditions."""

    @abstractmethod
    def supports(self, category: Category | None, split: str) -> bool:
        """Whether a want for this category (None: a negative) in this split can be met at all."""

    @abstractmethod
    def draw(self, want: Want) -> Condition:
        """A condition for the want, the same whenever it is asked with the same want.

        Raises NoCondition if this seed leads nowhere, SourceError if a file of the source is damaged.
        """

    @property
    def makes_pairs(self) -> bool:
        """Whether it answers wants for a pair."""
        return False

    def masks_of(self) -> Mapping[int, int]:
        """Category id → masks that hold it, over all splits; empty for a source that draws."""
        return {}

    def licences(self) -> list[str]:
        """Licence and credit lines of the data that conditions are taken from; none for drawn ones."""
        return []


class SourceSpec(Spec, ABC):
    """The recipe block of a source. Subclasses add `kind: Literal[...]`, their knobs, and `build`."""

    weight: float = Field(default=1.0, gt=0)
    """How often this source is drawn, relative to the others that support the category."""

    @property
    def gives_pictures(self) -> bool:
        """Whether every condition of the source comes with a picture."""
        return False

    @property
    def makes_pairs(self) -> bool:
        """Whether the source can give a scene with and without an object."""
        return False

    @abstractmethod
    def build(self, context: SourceContext) -> ConditionSource:
        """Open the source: read its index, deal its groups to splits. Raises SourceError with the path and remedy."""
