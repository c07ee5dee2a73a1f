"""The contract of an image generator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.spec import Spec
from earthsynth_factory.io.provenance import DigitalSource
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.models.hub import HubRepository

KINDS = {
    "controlnet": "earthsynth_factory.synthesis.controlnet:ControlNetSpec",
    "edit": "earthsynth_factory.synthesis.edit:EditSpec",
    "collage": "earthsynth_factory.synthesis.collage:CollageSpec",
    "fake": "earthsynth_factory.synthesis.fake:FakeSpec",
}
"""Generators that ship: kind → spec class. A new one is a file and a line here."""


class ImageGenerator(ABC):
    """Makes images. One generator lives on one device and is called from one thread."""

    batch: int
    """How many images one call makes at the most; the generator pads shorter calls itself."""

    on_step: Callable[[int, int], None] = staticmethod(lambda *_: None)
    """Called on the way through a batch with its steps that are done and those there are. Set it before `open`."""

    @property
    def reach(self) -> int:
        """Pixels around an object that change with it, if it changes in a picture."""
        return 0

    @abstractmethod
    def open(self) -> None:
        """Load weights onto the device. Raises ModelError naming what is missing and both remedies."""

    @abstractmethod
    def generate(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> list[Image]:
        """An image (H, W, 3) for each condition, of its mask's size.

        An image depends on its own condition and seed alone, never on its batch-mates or its place in the batch.
        """

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """For the run record, after `open`: device, precision, batch, versions. Plain JSON."""

    def notes(self) -> Sequence[str]:
        """What was given up or lost so far, for the user's eyes."""
        return ()


class GeneratorSpec(Spec, ABC):
    """The recipe block of a generator. Subclasses add `kind: Literal[...]`, their knobs, and these methods.

    base: the folder that relative paths of the recipe start from.
    """

    digital_source: ClassVar[DigitalSource] = DigitalSource.GENERATED
    """How its images come to be; every image file says so."""

    needs_pictures: ClassVar[bool] = False
    """Whether every condition must come with a picture."""

    any_size: ClassVar[bool] = False
    """Whether images larger than the card's size are as good."""

    @abstractmethod
    def card(self, base: Path) -> ModelCard:
        """The model's card, read without loading the model (control encoding, prompt template, native size)."""

    @abstractmethod
    def identity(self, base: Path) -> Mapping[str, str]:
        """Weight file → sha256: what decides the pixels, for the fingerprint. Raises ModelError if files are missing."""

    def card_at_hand(self, base: Path) -> ModelCard | None:
        """The card if no network is needed for it, else None. Raises ModelError."""
        return self.card(base)

    def repositories(self, base: Path) -> Sequence[HubRepository]:  # noqa: ARG002  # for those that have a model
        """What of it comes from the hub. Raises ModelError for a name that is neither there nor here."""
        return ()

    def weights(self, base: Path) -> Sequence[Path]:  # noqa: ARG002  # for those that have a model
        """The files that are loaded, all of them here. Raises ModelError."""
        return ()

    def guided(self, card: ModelCard) -> bool:  # noqa: ARG002  # for those that have a model
        """Whether it heeds negative prompts."""
        return False

    def doubts(self, base: Path) -> Iterator[tuple[str, str]]:  # noqa: ARG002  # for those that have a model
        """(key, sentence) of what may be asked for and is of no use; of files that are at hand. Raises ModelError."""
        return iter(())

    def check(self, base: Path, size: tuple[int, int]) -> None:
        """Look at the model's files if they are at hand; no weight is loaded, no network asked. size: height, width.

        Raises ModelError if the model cannot be driven or cannot make images of that size.
        """

    @abstractmethod
    def build(self, context: StageContext) -> ImageGenerator:
        """A generator for the context's device, not yet opened."""
