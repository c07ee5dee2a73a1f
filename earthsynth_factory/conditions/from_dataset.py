"""Conditions from the masks of an existing folder: a mask that holds the category, cropped and varied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from earthsynth_factory.conditions.base import ConditionSource, SourceContext, SourceSpec, Want
from earthsynth_factory.conditions.masks.crop import MaskCrop, cut_mask, target_pixel
from earthsynth_factory.conditions.masks.folder import FolderSpec, MaskFolder, MaskItem, MaskPixels
from earthsynth_factory.conditions.masks.objects import length
from earthsynth_factory.conditions.masks.pictures import FolderPictures
from earthsynth_factory.conditions.masks.view import Variants, choose_view, stretch
from earthsynth_factory.domain import seeds
from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.masks import present_classes, present_ids
from earthsynth_factory.domain.spec import CountSpan, Field
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, Category
from earthsynth_factory.errors import NoCondition
from earthsynth_factory.geometry.components import components

TRIES = 24
"""Crops tried for one want before it is given up with the commonest reason."""


class DatasetSpec(FolderSpec, SourceSpec):
    """Masks of a folder, chosen by category."""

    kind: Literal["dataset"] = "dataset"

    variants: Variants = Variants()
    """Crop, rescale, mirror, rotate."""

    single_category: bool = False
    """Keep the wanted category alone and make all else background (EarthSynth's category augmentation)."""

    min_visible: float = Field(default=0.5, gt=0, le=1)
    """At least one object of the wanted category is seen to this share …"""

    min_area: float = Field(default=0.02, gt=0, le=1)
    """… or the category covers this share of the image, which is also the rule for land cover."""

    extra_classes: tuple[str, ...] = ()
    """Classes that the text may gain beyond those in the mask."""

    extra_count: CountSpan = (1, 1)
    """How many of `extra_classes` a text gains."""

    exact: bool = False
    """Whole masks as they are, in order of their names, without variants; resized (nearest) only if the size differs."""

    relabel: bool = False
    """With `exact`: everything in the mask becomes the wanted category, so that one layout serves a list of classes. The
    labels and the prompt say so; the model is shown the mask as it is, as EarthSynth's `test.py` does."""

    relabel_control: bool = False
    """With `relabel`: the model, too, is shown the wanted category's id in place of the mask's own."""

    pictures: bool = False
    """Give each mask with its own picture, varied alike, for `synthesis: {kind: collage}` or `edit`."""

    @model_validator(mode="after")
    def _pictures_as_they_are(self) -> Self:
        if self.pictures and (self.exact or self.variants.pad):
            raise ValueError("`pictures: true` goes neither with `exact` nor with `variants: {pad: true}`")
        return self

    @property
    def gives_pictures(self) -> bool:
        return self.pictures

    def build(self, context: SourceContext) -> DatasetSource:
        """Index the folder (cached) and deal its groups to splits."""
        return DatasetSource(self, context)


class DatasetSource(ConditionSource):
    """Draws from a `MaskFolder`. Instances are those of its instance maps; without them labels take components."""

    def __init__(self, spec: DatasetSpec, context: SourceContext) -> None:
        self._spec, self._prompts = spec, context.prompts
        self._extra = [context.taxonomy.named(name).id for name in spec.extra_classes]
        self._folder = MaskFolder(spec, context, own_splits=spec.pictures)
        self._pictures = FolderPictures(self._folder, context.cache) if spec.pictures else None

    def fingerprint(self) -> str:
        pictures = f" {self._pictures.content}" if self._pictures else ""
        inert = {"path", "weight"} | (set() if self._spec.relabel else {"relabel_control"})
        return f"dataset {self._folder.content} {self._spec.model_dump_json(exclude=inert)}{pictures}"

    def masks_of(self) -> Mapping[int, int]:
        return self._folder.masks_of()

    def licences(self) -> list[str]:
        return self._folder.licences()

    def supports(self, category: Category | None, split: str) -> bool:
        return bool(self._items(category, split))

    def draw(self, want: Want) -> Condition:
        items = self._items(want.category, want.split)
        if not items:
            raise NoCondition(f"{self._folder.name}: nothing of it in split {want.split!r}")
        rng = seeds.rng(want.seed, "dataset")
        reasons: Counter[str] = Counter()
        for _ in range(TRIES):
            place = want.ordinal if self._spec.exact else int(rng.integers(len(items)))
            found = self._try(want, items[place % len(items)], rng)
            if isinstance(found, Condition):
                return found
            reasons[found] += 1
        raise NoCondition(
            f"{self._folder.name}: {TRIES} crops tried, none fits; most often {reasons.most_common(1)[0][0]}"
        )

    def _items(self, category: Category | None, split: str) -> list[MaskItem]:
        anything = category is None or (self._spec.exact and self._spec.relabel)
        return self._folder.with_category(None if anything or category is None else category.id, split)

    def _try(self, want: Want, item: MaskItem, rng: np.random.Generator) -> Condition | str:
        """One crop of one mask, or why it will not do."""
        pixels = self._folder.read(item)
        if self._spec.exact:
            return self._whole(want, item, pixels, rng)
        step = self._step(want, item, rng)
        near = None
        if want.category is not None and self._spec.variants.crop == "target":
            near = target_pixel(pixels, want.category.id, rng)
        view = choose_view(self._spec.variants, item.shape, (want.height, want.width), step, near, rng)
        if view is None:
            return (
                f"a mask of {item.shape[1]}×{item.shape[0]} pixels is too small for {want.width}×{want.height} at "
                f"{step:.3g} mask pixels each; lower image size or metres per pixel, or set `variants: {{pad: true}}`"
            )
        crop = self._narrowed(want, cut_mask(pixels, view, self._pictures.read(item) if self._pictures else None))
        fault = self._fault(want, crop, pixels, step)
        detail = {"mask": item.entry.stem, **view.text()}
        if self._pictures:
            detail["picture"] = self._pictures.name(item)
        return fault or self._condition(want, crop, pixels.known, want.metres_per_pixel, item, detail, rng)

    def _step(self, want: Want, item: MaskItem, rng: np.random.Generator) -> float:
        """Mask pixels per image pixel."""
        factor = float(rng.uniform(*self._spec.variants.rescale))
        return want.metres_per_pixel / item.metres_per_pixel if item.metres_per_pixel else 1 / factor

    def _whole(self, want: Want, item: MaskItem, pixels: MaskPixels, rng: np.random.Generator) -> Condition | str:
        """The mask as it is, at the size wanted."""
        mask = stretch(pixels.mask, want.height, want.width)
        instances = stretch(pixels.instances, want.height, want.width)
        control = None
        if self._spec.relabel and want.category is not None:
            control = None if self._spec.relabel_control else mask
            mask = np.where((mask == BACKGROUND) | (mask == IGNORE), mask, want.category.id).astype(np.uint8)
        crop = self._narrowed(want, MaskCrop(mask, instances, {}))
        if fault := want.avoided_in(crop.mask):
            return fault
        known = item.metres_per_pixel
        scale = known * item.shape[0] / want.height if known else want.metres_per_pixel
        made = self._condition(want, crop, pixels.known, scale, item, {"mask": item.entry.stem}, rng)
        return made if control is None else replace(made, control=control)

    def _narrowed(self, want: Want, crop: MaskCrop) -> MaskCrop:
        """Background in place of what `single_category` or the want's context leaves out."""
        if want.category is not None and self._spec.single_category:
            return crop.only([want.category.id])
        return crop if want.shown is None else crop.only(want.shown)

    def _fault(self, want: Want, crop: MaskCrop, pixels: MaskPixels, step: float) -> str | None:
        """Why this crop does not meet the want."""
        fault = want.avoided_in(crop.mask)
        if fault or want.category is None:
            return fault
        category = want.category.id
        inside = crop.mask == category
        ids = [number for number in present_ids(crop.instances[inside]) if number]
        seen = max((crop.visible.get(number, 1.0) for number in ids), default=0.0)
        if not inside.any() or (inside.mean() < self._spec.min_area and seen < self._spec.min_visible):
            return f"too little of {want.category.name!r} in view (see `min_visible` and `min_area`)"
        if want.instances is not None:
            number = len(ids) if pixels.known else int(components(crop.mask, [category]).max())
            if fault := want.miscounted(number):
                return fault
        if want.object_size is not None:
            scale = want.metres_per_pixel / step
            sizes = [scale * length(pixels.instances[pixels.objects[i].box] == i) for i in ids]
            return want.missized(sizes)
        return None

    def _condition(
        self,
        want: Want,
        crop: MaskCrop,
        known: bool,
        metres_per_pixel: float,
        item: MaskItem,
        detail: dict[str, str | int | float],
        rng: np.random.Generator,
    ) -> Condition:
        present = present_classes(crop.mask)
        return Condition(
            mask=crop.mask,
            instances=crop.instances if known else np.zeros_like(crop.instances),
            prompt=self._prompts.write(present, metres_per_pixel, self._gained(want, present, rng), seed=want.seed),
            metres_per_pixel=metres_per_pixel,
            seed=want.seed,
            origin=Origin(f"dataset:{self._folder.name}", item.group, detail),
            known_instances=known,
            visible=crop.visible if known else {},
            picture=crop.picture,
            changed=None if crop.picture is None else np.zeros(crop.mask.shape, bool),
            ground=crop.picture,
        )

    def _gained(self, want: Want, present: list[int], rng: np.random.Generator) -> list[int]:
        """Classes added to the text alone; none that is present or to be avoided."""
        free = [category for category in self._extra if category not in want.avoid and category not in present]
        low, high = self._spec.extra_count
        number = min(int(rng.integers(low, high + 1)), len(free))
        return [free[int(i)] for i in rng.permutation(len(free))[:number]]
