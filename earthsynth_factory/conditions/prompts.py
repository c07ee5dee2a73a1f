"""The prompt of a condition: a template over the classes present, the model's own or one of the recipe's.

EarthSynth's template is `A satellite image of <c1>, <c2>, …` with the present classes in ascending id (public
repository, training list). Models of our own may add a word for the scale. What a recipe gives several of, templates or
words, is drawn by the condition's seed; the prompt that came of it is in the record of its image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, TypeVar

from pydantic import StringConstraints, model_validator

from earthsynth_factory.domain.seeds import unit
from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.domain.taxonomy import BACKGROUND, EARTHSYNTH_TEMPLATE, Taxonomy
from earthsynth_factory.domain.templates import CLASSES, SCALE, check_template, fields_of

EMPTY_SCENE = "land"
"""What stands for the class list where nothing but background is present. Ours; the paper names no such prompt."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Words = Annotated[tuple[Word, ...], Field(min_length=1, max_length=500)]
Template = Annotated[str, StringConstraints(min_length=1, max_length=500)]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]

One = TypeVar("One")


class PromptSpec(Spec):
    """Prompts of many kinds for one dataset: of each list one is drawn for an image, by its seed."""

    templates: tuple[Template, ...] = Field(default=(), max_length=500)
    """Texts with `{classes}` in them, and any of `{scale}` and the names under `words`. Left out: the model's own."""
    words: dict[FieldName, Words] = Field(default={})
    """Field of the templates → what may stand there: `season: [summer, winter]`, `sensor:`, `place:` and the like."""
    classes: dict[str, Words] = Field(default={})
    """Class → its words, in place of its name: `ship: [ship, vessel, cargo ship]`."""

    @model_validator(mode="after")
    def _fit_together(self) -> PromptSpec:
        for template in self.templates:
            check_template(template, self.words)
        own = {CLASSES, SCALE} & self.words.keys()
        if own:
            raise ValueError(f"words: {min(own)!r} is a field of its own; choose another name")
        unused = self.words.keys() - {name for template in self.templates for name in fields_of(template)}
        if unused:
            raise ValueError(f"words: no template has {{{min(unused)}}}; write it in one, or leave these words out")
        return self

    def __str__(self) -> str:
        """In words; empty if there is nothing to draw."""
        templates = f"{len(self.templates)} template{'s' * (len(self.templates) > 1)}" if self.templates else ""
        words = f"words for {', '.join(self.words)}" if self.words else ""
        classes = f"several words for {', '.join(self.classes)}" if self.classes else ""
        return "; ".join(part for part in (templates, words, classes) if part)


@dataclass(frozen=True)
class PromptWriter:
    """Writes prompts for one model and one recipe.

    template: has the field `{classes}` and may have `{scale}`. scales: upper bound in metres per pixel → word,
    ascending; the last one serves everything above. words: class id → the user's words, in place of the category's own.
    variety: what the recipe gives several of, which goes before the rest.
    """

    taxonomy: Taxonomy
    template: str = EARTHSYNTH_TEMPLATE
    scales: tuple[tuple[float, str], ...] = ()
    words: Mapping[int, str] = field(default_factory=dict)
    variety: PromptSpec = field(default_factory=PromptSpec)

    def write(
        self, classes: Iterable[int], metres_per_pixel: float, extra: Iterable[int] = (), *, seed: int = 0
    ) -> str:
        """The prompt for the classes present. `extra` class ids are added to the text only, as if they were present.

        seed: decides what is drawn of the variety.
        """
        ids = sorted({*classes, *extra} - {BACKGROUND})
        names = [
            _drawn(self._several[one], seed, "class", one) if one in self._several else self._named(one) for one in ids
        ]
        fields = {name: _drawn(words, seed, "field", name) for name, words in self.variety.words.items()}
        template = _drawn(self.variety.templates or (self.template,), seed, "template")
        return template.format(classes=", ".join(names) or EMPTY_SCENE, scale=self._scale(metres_per_pixel), **fields)

    @cached_property
    def _several(self) -> Mapping[int, Sequence[str]]:
        """Class id → words to draw from."""
        return {self.taxonomy.named(name).id: words for name, words in self.variety.classes.items()}

    def _named(self, class_id: int) -> str:
        return self.words.get(class_id, self.taxonomy[class_id].words)

    def _scale(self, metres_per_pixel: float) -> str:
        for bound, word in self.scales:
            if metres_per_pixel <= bound:
                return word
        return self.scales[-1][1] if self.scales else ""


def _drawn(several: Sequence[One], seed: int, *purpose: int | str) -> One:
    return several[int(unit(seed, "prompt", *purpose) * len(several))]
