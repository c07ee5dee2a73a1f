"""The prompt of a condition: the model's template over the classes present.

EarthSynth's template is `A satellite image of <c1>, <c2>, …` with the present classes in ascending id (public
repository, training list). Models of our own may add a word for the scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from earthsynth_factory.domain.taxonomy import BACKGROUND, EARTHSYNTH_TEMPLATE, Taxonomy

EMPTY_SCENE = "land"
"""What stands for the class list where nothing but background is present. Ours; the paper names no such prompt."""


@dataclass(frozen=True)
class PromptWriter:
    """Writes prompts for one model and one recipe.

    template: has the field `{classes}` and may have `{scale}`. scales: upper bound in metres per pixel → word,
    ascending; the last one serves everything above. words: class id → the user's words, in place of the category's own.
    """

    taxonomy: Taxonomy
    template: str = EARTHSYNTH_TEMPLATE
    scales: tuple[tuple[float, str], ...] = ()
    words: Mapping[int, str] = field(default_factory=dict)

    def write(self, classes: Iterable[int], metres_per_pixel: float, extra: Iterable[int] = ()) -> str:
        """The prompt for the classes present. `extra` class ids are added to the text only, as if they were present."""
        ids = sorted({*classes, *extra} - {BACKGROUND})
        names = [self.words.get(class_id, self.taxonomy[class_id].words) for class_id in ids]
        return self.template.format(classes=", ".join(names) or EMPTY_SCENE, scale=self._scale(metres_per_pixel))

    def _scale(self, metres_per_pixel: float) -> str:
        for bound, word in self.scales:
            if metres_per_pixel <= bound:
                return word
        return self.scales[-1][1] if self.scales else ""
