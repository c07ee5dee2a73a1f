"""The recipe block `kind: procedural` and its source."""

from __future__ import annotations

import json
from typing import Literal

from typing_extensions import override

from earthsynth_factory.conditions.base import ConditionSource, SourceContext, SourceSpec, Want
from earthsynth_factory.conditions.procedural.drawing import Drawing, Knobs, look_key, shape_of
from earthsynth_factory.conditions.procedural.figures import FIGURES, Shape
from earthsynth_factory.conditions.procedural.scenes import LAND, OWN, SCENES, STANDS_ON, DrawScene
from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.masks import present_classes
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.domain.spec import Field, Span
from earthsynth_factory.domain.taxonomy import Category
from earthsynth_factory.errors import NoCondition

LAYOUT_VERSION = 1
"""Raised whenever the same want would give other pixels."""


class ProceduralSpec(SourceSpec):
    """Layouts drawn to scale, with no data at all."""

    kind: Literal["procedural"]
    density: float = Field(default=0.75, gt=0, le=1)
    """Share of the places (stands, berths, slots, lots) that are taken."""
    spacing: float = Field(default=1.0, ge=0.2, le=5)
    """Times the usual gap between neighbours."""
    orientation_spread: float = Field(default=6.0, ge=0, le=180)
    """Degrees by which neighbours' headings differ; parked cars differ less, ships under way more."""
    size_scale: Span = (1.0, 1.0)
    """Times the true smallest and largest length of things."""
    background: Literal["dense", "sparse", "none"] = "dense"
    """dense: land cover everywhere. sparse: the target and what it stands on. none: the target alone."""
    shapes: dict[str, Shape] = Field(default_factory=dict)
    """Category of your own → how it is drawn; its size is the category's `object_size`, or 8 to 24 m."""

    def build(self, context: SourceContext) -> Procedural:
        """Nothing to open. Raises InputError for a shape whose category the recipe does not have."""
        for name in self.shapes:
            context.taxonomy.named(name)
        return Procedural(self, context)


class Procedural(ConditionSource):
    """Draws a layout for the want from its seed. Every layout is a group of its own."""

    def __init__(self, spec: ProceduralSpec, context: SourceContext) -> None:
        self._spec, self._context = spec, context
        self._knobs = Knobs(
            spec.density, spec.spacing, spec.orientation_spread, spec.size_scale, spec.background, dict(spec.shapes)
        )

    def fingerprint(self) -> str:
        """The block and the version of the layouts."""
        block = self._spec.model_dump(mode="json", exclude={"weight"})
        return json.dumps({"layout_version": LAYOUT_VERSION, **block}, sort_keys=True)

    @override
    def supports(self, category: Category | None, split: str) -> bool:
        """Everything we have a scene for, any land cover, and things that the recipe gives a shape."""
        return category is None or bool(self._scenes(category))

    def draw(self, want: Want) -> Condition:
        """Raises NoCondition if the objects do not fit the picture, or would be too small in it."""
        scenes = self._scenes(want.category)
        if not scenes:
            name = want.category.name if want.category else ""
            raise NoCondition(f"no layout shows {name!r}; give it a shape under `shapes` of the procedural source")
        scene = scenes[derive(want.seed, "scene") % len(scenes)]
        stands_on = STANDS_ON.get(look_key(want.category), ()) if want.category else ()
        drawing = Drawing(want, self._knobs, self._context.taxonomy, stands_on)
        scene(drawing)
        if drawing.lacking() > 0:
            drawing.scatter()
        return self._condition(want, drawing, scene.__name__)

    def _condition(self, want: Want, drawing: Drawing, scene: str) -> Condition:
        mask, instances = drawing.finished()
        present = present_classes(mask)
        return Condition(
            mask=mask,
            instances=instances,
            prompt=self._context.prompts.write(present, want.metres_per_pixel, seed=want.seed),
            metres_per_pixel=want.metres_per_pixel,
            seed=want.seed,
            origin=Origin("procedural", f"procedural-{want.seed}", {"scene": scene}),
            visible=drawing.board.visible(),
        )

    def _scenes(self, category: Category | None) -> tuple[DrawScene, ...]:
        if category is None:
            return LAND
        if category.thing and shape_of(category, self._knobs.shapes):
            return SCENES.get(look_key(category), OWN) if look_key(category) in FIGURES else OWN
        if category.thing:
            return SCENES.get(look_key(category), ()) if look_key(category) in FIGURES else ()
        return SCENES.get(look_key(category), LAND[:1]) if category.id else ()
