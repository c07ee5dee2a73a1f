"""The ground of a composed scene: which classes a category may lie on, and a crop that has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from earthsynth_factory.conditions.base import Want
from earthsynth_factory.conditions.masks.crop import Crop, cut, target_pixel
from earthsynth_factory.conditions.masks.folder import Item, MaskFolder
from earthsynth_factory.conditions.masks.pictures import FolderPictures
from earthsynth_factory.conditions.masks.view import Variants, View, choose_view
from earthsynth_factory.conditions.partners import Partners
from earthsynth_factory.domain.categories import rows
from earthsynth_factory.domain.masks import present_ids
from earthsynth_factory.domain.taxonomy import BACKGROUND, Category, Taxonomy

_WATER = ("water",)


class LyingTable:
    """Which classes each category may lie on: the table of categories, with a recipe's own lines over it."""

    def __init__(self, taxonomy: Taxonomy, overrides: Mapping[str, tuple[str, ...]]) -> None:
        """Raises InputError with the nearest names for a name that no category has."""
        lines = {row.name: row.on for row in rows() if row.on} | dict(overrides)
        known = {name: category for name in lines if (category := taxonomy.find(name))}
        self._on = {known[name].id: frozenset(_ids(taxonomy, lines[name], name in overrides)) for name in known}
        for name in overrides:
            self._on[taxonomy.named(name).id] = frozenset(_ids(taxonomy, overrides[name], True))
        dry = {category.id for category in taxonomy if not category.thing} - {BACKGROUND}
        self._else = frozenset(dry - set(_ids(taxonomy, _WATER, False)))

    def of(self, category: int) -> frozenset[int]:
        """Class ids that the category may lie on; any land for a category that the table does not name."""
        return self._on.get(category, self._else)


def _ids(taxonomy: Taxonomy, names: tuple[str, ...], strict: bool) -> list[int]:
    if strict:
        return [taxonomy.named(name).id for name in names]
    return [category.id for name in names if (category := taxonomy.find(name))]


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """crop: what to place on. group: of the mask it was cut from, None for plain. detail: where it comes from.

    view: how it was cut, item: of which mask; None for plain.
    """

    crop: Crop
    group: str | None
    detail: dict[str, str | int | float]
    view: View | None = None
    item: Item | None = None


class GroundChoice:
    """Real dense masks, plain ground of one class, or now one and now the other."""

    def __init__(
        self,
        taxonomy: Taxonomy,
        table: LyingTable,
        backgrounds: MaskFolder | None,
        variants: Variants,
        plain: tuple[str, ...] | None,
        plain_share: float,
        pictures: FolderPictures | None = None,
        sparse: bool = False,
        partners: Partners | None = None,
    ) -> None:
        """variants, plain, plain_share: see `ComposeSpec`. Raises InputError for an unknown name in `plain`.

        pictures: those of the backgrounds, if the ground is to come with them. sparse: whether what has no label is ground
        for anything. partners: by which grounds are chosen; None: blindly.
        """
        self._partners = partners
        self._unlabelled = frozenset({BACKGROUND} if sparse else ())
        self._taxonomy, self._table, self._backgrounds, self._pictures = taxonomy, table, backgrounds, pictures
        self._variants, self._plain_share = variants, plain_share
        self._plain = None if plain is None else {taxonomy.named(name).id for name in plain}
        self._land = frozenset(category.id for category in taxonomy if not category.thing) - {BACKGROUND}

    def supports(self, category: Category | None, split: str) -> bool:
        """Whether there is ground for the category (None: for a negative) in the split."""
        return self._takes_plain() or any(self._items_on(ground, split) for ground in self._allowed(category))

    def lies_on(self, category: int) -> set[int]:
        """Classes that it may be put on. A plain ground that the recipe names is ground enough for anything."""
        return set(self._table.of(category)) | (self._plain or set()) | self._unlabelled

    def choose(self, want: Want, rng: np.random.Generator) -> Ground | str:
        """A ground for the want, or why there is none."""
        allowed = set(self._allowed(want.category) - want.avoid)
        if want.context is not None:
            allowed &= {*want.context, BACKGROUND}
        plain = self._backgrounds is None or rng.random() < self._plain_share
        return self._plain_ground(want, allowed, rng) if plain else self._dense_ground(want, allowed, rng)

    def _takes_plain(self) -> bool:
        return self._backgrounds is None or self._plain_share > 0

    def _allowed(self, category: Category | None) -> frozenset[int]:
        return self._unlabelled | (self._land if category is None else self._table.of(category.id))

    def _items_on(self, ground: int, split: str) -> bool:
        return self._backgrounds is not None and bool(self._backgrounds.with_category(ground, split))

    def _plain_ground(self, want: Want, allowed: set[int], rng: np.random.Generator) -> Ground | str:
        choice = sorted(allowed if self._plain is None else self._plain - want.avoid)
        if not choice:
            return "no plain ground is left by `on`, `context` and what is to be avoided"
        ground = choice[int(rng.integers(len(choice)))]
        size = (want.height, want.width)
        crop = Crop(np.full(size, ground, np.uint8), np.zeros(size, np.uint16), {})
        return Ground(crop, None, {"ground": self._taxonomy[ground].name})

    def _dense_ground(self, want: Want, allowed: set[int], rng: np.random.Generator) -> Ground | str:
        folder = self._backgrounds
        assert folder is not None
        choice = [ground for ground in sorted(allowed) if self._items_on(ground, want.split)]
        if not choice:
            return "no background of this split has a class that `on` and `context` allow"
        ground = choice[int(rng.integers(len(choice)))]
        items = folder.with_category(ground, want.split)
        if self._partners is not None:
            item = self._partners.ground(items, None if want.category is None else want.category.id, rng)
        else:
            item = items[int(rng.integers(len(items)))]
        pixels = folder.read(item)
        factor = float(rng.uniform(*self._variants.rescale))
        step = want.metres_per_pixel / item.metres_per_pixel if item.metres_per_pixel else 1 / factor
        near = target_pixel(pixels, ground, rng)
        view = choose_view(self._variants, item.shape, (want.height, want.width), step, near, rng)
        if view is None:
            size = f"{item.shape[1]}×{item.shape[0]}"
            return f"a background of {size} pixels is too small at {step:.3g} of its pixels each"
        crop = cut(pixels, view, self._pictures.read(item) if self._pictures else None)
        if want.context is not None:
            crop = crop.only(want.context)
        avoided = sorted(want.avoid.intersection(present_ids(crop.mask)))
        if avoided:
            return f"a background with {self._taxonomy[avoided[0]].name!r}, which is to be avoided"
        return Ground(crop, item.group, {"ground": item.entry.stem, **view.text()}, view, item)
