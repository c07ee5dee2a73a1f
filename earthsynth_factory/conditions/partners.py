"""Which ground and which objects: by CF-Comp's criteria instead of blindly. The scores are `domain.partners`'.

A ground is chosen by what the wanted object would bring to it (text), an object by how its own picture differs from the
ground's (image) and by how little of the scene's objects it would hide at its place (mask). How the criteria fall to ground
and objects is our reading, for a composed scene has many donors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from earthsynth_factory.conditions.masks.bank import Cutout
from earthsynth_factory.conditions.masks.folder import MaskFolder, MaskItem
from earthsynth_factory.conditions.masks.pictures import FolderPictures
from earthsynth_factory.conditions.placement import Bits, ObjectStamp, overlap
from earthsynth_factory.domain import partners
from earthsynth_factory.domain.spec import Field, Spec


class PartnersSpec(Spec):
    """CF-Comp's three criteria as exponents; 0 switches one off."""

    image: float = Field(default=1.0, ge=0, le=8)
    """Weight of the image criterion: objects from pictures that look different, other datasets first."""
    mask: float = Field(default=1.0, ge=0, le=8)
    """Weight of the mask criterion: objects that hide none of the scene's."""
    text: float = Field(default=1.0, ge=0, le=8)
    """Weight of the text criterion: grounds that lack the wanted class, most for rare classes."""
    among: int = Field(default=6, ge=2, le=64)
    """How many grounds, and how many objects for each place, are compared."""


@dataclass(frozen=True, eq=False)
class Side:
    """An item of a folder, with the folder's pictures."""

    folder: MaskFolder
    pictures: FolderPictures
    item: MaskItem


@dataclass(frozen=True, eq=False)
class Option:
    """An object that could be put into a scene: cut out, turned, with its top left corner there."""

    cutout: Cutout
    stamp: ObjectStamp
    corner: tuple[int, int]

    @property
    def anchor(self) -> tuple[int, int]:
        """Row and column of its inmost pixel in the scene."""
        return self.corner[0] + self.stamp.anchor[0], self.corner[1] + self.stamp.anchor[1]


class Partners:
    """Draws grounds and objects by their scores. Colours of pictures are measured once and kept."""

    def __init__(self, spec: PartnersSpec, masks_of: Mapping[int, int]) -> None:
        """masks_of: category id → masks that hold it."""
        self.spec = spec
        self._rarity = partners.rarity(np.array([masks_of.get(category, 0) for category in range(256)]))
        self._stats: dict[tuple[str, str], tuple[float, ...]] = {}

    def ground(self, items: Sequence[MaskItem], category: int | None, rng: np.random.Generator) -> MaskItem:
        """One of the items, for an object of the category."""
        among = [items[int(place)] for place in rng.integers(len(items), size=self.spec.among)]
        if category is None:
            return among[0]
        present, brought = np.zeros((len(among), 256), bool), np.zeros((1, 256), bool)
        brought[0, category] = True
        for row, item in zip(present, among, strict=True):
            row[list(item.categories)] = True
        scores = {"text": partners.text_score(present, brought, self._rarity)}
        weight = partners.combined(scores, {"text": self.spec.text}, (len(among), 1))[:, 0]
        return among[int(rng.choice(len(among), p=weight / weight.sum()))]

    def ordered(
        self, options: Sequence[Option], donor: Side, base: Side, things: Bits, rng: np.random.Generator
    ) -> list[Option]:
        """The options in random order, likelier ones first. donor: where the objects are from, whatever its item; base:
        where the ground is from. things: (H, W) the objects of the scene.
        """
        if not options:
            return []
        stats = [self._colour_stats_of(replace(donor, item=option.cutout.item)) for option in options]
        elsewhere = np.full((1, len(options)), donor.folder.path != base.folder.path)
        regions = np.stack([_region(things.shape, option) for option in options])
        scores = {
            "image": partners.image_score(np.array([self._colour_stats_of(base)]), np.array(stats), elsewhere),
            "mask": partners.mask_score(things.reshape(1, -1), regions.reshape(len(regions), -1)),
        }
        weights = {"image": self.spec.image, "mask": self.spec.mask}
        weight = partners.combined(scores, weights, (1, len(options)))[0]
        order = rng.choice(len(options), len(options), replace=False, p=weight / weight.sum())
        return [options[int(place)] for place in order]

    def _colour_stats_of(self, side: Side) -> tuple[float, ...]:
        key = str(side.folder.path), side.item.entry.stem
        if key not in self._stats:
            self._stats[key] = partners.colour_stats_of(side.pictures.read(side.item))
        return self._stats[key]


def _region(shape: tuple[int, ...], option: Option) -> Bits:
    """(H, W) where the object would be."""
    region = np.zeros(shape, bool)
    there, part = overlap(shape, option.stamp, *option.corner)
    region[there] = option.stamp.shape[part]
    return region
