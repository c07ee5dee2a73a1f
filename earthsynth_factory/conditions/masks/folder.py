"""A folder of masks as sources see it: items by split and category, pixels in the taxonomy's ids, read when drawn."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.base import SourceContext
from earthsynth_factory.conditions.masks import index as mask_index
from earthsynth_factory.conditions.masks.objects import Object, objects_of
from earthsynth_factory.datasets.prepared.masks import MaskEntry, MaskListing, find_masks
from earthsynth_factory.domain.condition import InstanceMap, Mask
from earthsynth_factory.domain.spec import Field, Spec
from earthsynth_factory.domain.splits import assign_groups
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE, Taxonomy, normalise
from earthsynth_factory.errors import SourceError
from earthsynth_factory.geometry.components import components
from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.mirror import located

CACHE_BYTES = 96 << 20
"""Decoded masks kept in memory, per folder."""


class FolderSpec(Spec):
    """Which masks, and what their ids mean."""

    path: str
    """A folder in the prepared or EarthSynth's layout, a folder of id masks, or one PNG; relative to the recipe.
    Or where such a folder lies in an object store, as s3://bucket/masks."""

    classes: dict[int, str] = Field(default_factory=dict)
    """Id in the files → category name (or `background`). Empty: what dataset.json says, else the recipe's own ids."""

    group_pattern: str | None = None
    """Regular expression whose first bracket in a file's stem names the scene that one split keeps whole."""

    only_split: str | None = None
    """Use only the items that dataset.json marks with this split, so that a test set of real images stays untouched."""

    metres_per_pixel: float | None = Field(default=None, gt=0)
    """Ground sampling distance of masks for which dataset.json gives none. None: taken to be at the wanted scale."""


@dataclass(frozen=True, slots=True)
class MaskItem:
    """One mask: shape (H, W) pixels, categories present, instances per category (None if it has no instance map).

    unlabelled: whether some of its pixels are background.
    """

    entry: MaskEntry
    group: str
    split: str
    metres_per_pixel: float | None
    shape: tuple[int, int]
    categories: tuple[int, ...]
    instances: Mapping[int, int] | None
    unlabelled: bool


@dataclass(frozen=True, eq=False)
class MaskPixels:
    """One mask in memory. instances: (H, W) uint16: the file's own ids, or connected components of things if it has
    none (`known` is False). objects: instance id → where it lies and how large it is.
    """

    mask: Mask
    instances: InstanceMap
    known: bool
    objects: Mapping[int, Object]


class MaskFolder:
    """Opened once per source. Reading is safe from several threads; memory is bounded by `CACHE_BYTES`."""

    def __init__(self, spec: FolderSpec, context: SourceContext, own_splits: bool = False) -> None:
        """Raises SourceError for an unusable folder, a class name or a file id that no category has.

        own_splits: items that dataset.json gives a split serve that one alone, and none if the recipe has no such split; so
        it is if their pictures are used. Others are dealt.
        """
        self.path = located(context.base, spec.path)
        self.listing = listing = find_masks(self.path, spec.group_pattern)
        counts = mask_index.index(listing, context.cache)
        self.about = listing.about
        self.name = listing.about.name if listing.about else self.path.stem
        self._taxonomy = context.taxonomy
        self._table = _id_table(spec, listing, context.taxonomy, self.path)
        self.items = _items(spec, listing, counts, self._table, context, own_splits)
        meaning = hashlib.blake2b(self._table.tobytes(), digest_size=16).hexdigest()
        items = [f"{item.entry.stem} {item.group} {item.metres_per_pixel}" for item in self.items]
        self.content = mask_index.masks_fingerprint(counts, [meaning, *items])
        """Changes with the masks, what their ids mean, the choice among them or their scale; not with the splits."""
        self._by_need: dict[tuple[str, int | None], list[MaskItem]] = {}
        for item in self.items:
            for need in (None, *item.categories, *([BACKGROUND] if item.unlabelled else [])):
                self._by_need.setdefault((item.split, need), []).append(item)
        self._cache: OrderedDict[str, MaskPixels] = OrderedDict()
        self._lock = Lock()

    def with_category(self, category: int | None, split: str) -> list[MaskItem]:
        """The items of a split that hold the category, or background, in the order of their stems; None: all of the split."""
        return self._by_need.get((split, category), [])

    def masks_of(self) -> Mapping[int, int]:
        """Category id → masks that hold it, over all splits."""
        return Counter(category for item in self.items for category in item.categories)

    def read(self, item: MaskItem) -> MaskPixels:
        """Raises SourceError if the file is damaged, was changed since it was counted, or has an unknown id."""
        stem = item.entry.stem
        with self._lock:
            if stem in self._cache:
                self._cache.move_to_end(stem)
                return self._cache[stem]
        pixels = self._decode(item)
        with self._lock:
            self._cache[stem] = pixels
            held = sum(_weight(kept) for kept in self._cache.values())
            while held > CACHE_BYTES and len(self._cache) > 1:
                held -= _weight(self._cache.popitem(last=False)[1])
        return pixels

    def licences(self) -> list[str]:
        """Name, licence and credit as the folder states them."""
        about = self.about
        if about is None:
            return [f"{self.name}: masks without a stated licence"]
        return [f"{about.name}: {about.licence}; {about.credit}"]

    def _decode(self, item: MaskItem) -> MaskPixels:
        raw = read_ids(item.entry.mask)
        if raw.shape != item.shape:
            raise SourceError(f"{item.entry.mask}: changed while the line was running; start it again")
        mask = _translate(raw, self._table, item.entry.mask)
        known = item.entry.instances is not None
        if known:
            nothing = (mask == BACKGROUND) | (mask == IGNORE)
            instances = np.where(nothing, 0, mask_index.read_instance_map(item.entry, raw.shape)).astype(np.uint16)
        else:
            instances = self._parts(mask, item.entry.mask)
        return MaskPixels(mask, instances, known, {one.id: one for one in objects_of(mask, instances)})

    def _parts(self, mask: Mask, path: Path) -> InstanceMap:
        try:
            return components(mask, [category.id for category in self._taxonomy if category.thing])
        except SourceError as error:
            raise SourceError(f"{path}: {error}") from error


def _weight(pixels: MaskPixels) -> int:
    return pixels.mask.nbytes + pixels.instances.nbytes


def _id_table(spec: FolderSpec, listing: MaskListing, taxonomy: Taxonomy, path: Path) -> npt.NDArray[np.int16]:
    """(65536,) int16: id in the files → category id, or −1 where the id means nothing. 255 is `IGNORE` if no class has it."""
    table = np.full(1 << 16, -1, np.int16)
    table[IGNORE] = IGNORE
    names = spec.classes or (listing.about.classes if listing.about else None)
    if names is None:
        for category in taxonomy:
            table[category.id] = category.id
        return table
    table[0] = BACKGROUND
    for file_id, name in names.items():
        if not 0 <= file_id < len(table):
            raise SourceError(f"{path}: class id {file_id} ({name!r}) is outside 0–65535; correct `classes`")
        if normalise(name) == "ignore":
            table[file_id] = IGNORE
            continue
        category_found = taxonomy.find(name)
        if category_found is None:
            near = " or ".join(repr(known) for known in taxonomy.nearest(name))
            remedy = f"did you mean {near}? Else" if near else "either"
            raise SourceError(
                f"{path}: class {file_id} is called {name!r}, which no category is; {remedy} add it under "
                "`categories` of the recipe or say under `classes` which category it is (`background` or `ignore` for none)"
            )
        table[file_id] = category_found.id
    return table


def _translate(raw: npt.NDArray[np.uint16], table: npt.NDArray[np.int16], path: Path) -> Mask:
    ids = table[raw]
    if (ids < 0).any():
        raise _unknown_id(int(raw[ids < 0][0]), path)
    return ids.astype(np.uint8)


def _unknown_id(file_id: int, path: Path) -> SourceError:
    return SourceError(f"{path}: id {file_id} stands for no category; {_name_it(file_id)}")


def _name_it(file_id: int) -> str:
    return f"say which it is under `classes`, as `classes: {{{file_id}: ship}}` (`background` if it is none)"


def _check_ids(counts: Mapping[str, mask_index.MaskCounts], table: npt.NDArray[np.int16], root: Path) -> None:
    """Raises SourceError that names every id without a meaning and how many masks hold it."""
    unknown = Counter(file_id for found in counts.values() for file_id in found.pixels if table[file_id] < 0)
    if unknown:
        listed = ", ".join(f"{number} masks with id {file_id}" for file_id, number in unknown.most_common(8))
        raise SourceError(f"{root}: {listed} stand for no category; {_name_it(unknown.most_common(1)[0][0])}")


def _items(
    spec: FolderSpec,
    listing: MaskListing,
    counts: Mapping[str, mask_index.MaskCounts],
    table: npt.NDArray[np.int16],
    context: SourceContext,
    own_splits: bool,
) -> tuple[MaskItem, ...]:
    _check_ids(counts, table, listing.root)
    # Dealt by the ids of the files and before any choice among items, so that two sources on one folder agree.
    groups: dict[str, set[int]] = {}
    for entry in listing.entries:
        groups.setdefault(entry.group, set()).update(counts[entry.stem].pixels.keys() - {0})
    splits = assign_groups(groups, context.shares, context.seed)
    if own_splits:
        splits |= {entry.group: entry.split for entry in listing.entries if entry.split}
    chosen = [entry for entry in listing.entries if spec.only_split in (None, entry.split)]
    if not chosen:
        known = ", ".join(sorted({str(entry.split) for entry in listing.entries}))
        raise SourceError(f"{listing.root}: no item is of the split {spec.only_split!r}; `only_split` may be {known}")
    return tuple(
        _item(entry, counts[entry.stem], table, (own_splits and entry.split) or splits[entry.group], spec)
        for entry in chosen
    )


def _item(
    entry: MaskEntry, counts: mask_index.MaskCounts, table: npt.NDArray[np.int16], split: str, spec: FolderSpec
) -> MaskItem:
    instances: Counter[int] | None = None
    if counts.instances is not None:
        instances = Counter()
        for file_id, number in counts.instances.items():
            instances[int(table[file_id])] += number
    found = {int(table[file_id]) for file_id in counts.pixels}
    return MaskItem(
        entry=entry,
        group=entry.group,
        split=split,
        metres_per_pixel=entry.metres_per_pixel or spec.metres_per_pixel,
        shape=counts.shape,
        categories=tuple(sorted(found - {BACKGROUND, IGNORE})),
        instances=instances,
        unlabelled=BACKGROUND in found,
    )
