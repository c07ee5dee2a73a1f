"""What a recipe amounts to: a row per image. Pure; no model and no data source is opened to make it.

Columns instead of objects: a million slots are a few megabytes, and a slot becomes an object when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from earthsynth_factory.datasets.build.reader import BuildReader
from earthsynth_factory.datasets.build.run_record import AskedCounts
from earthsynth_factory.domain.sample import Pair, Slot
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.errors import InputError, StoreError
from earthsynth_factory.recipe.cross_checks import MAX_IMAGES
from earthsynth_factory.recipe.schema import ULPS, Recipe

NEGATIVE = -1
"""Stands for "no category" in the column of class ids."""

BYTES_PER_PIXEL = 2.0
"""Masters on disk per image pixel. Measured with the store's encoder on aerial photographs of three public datasets: 1.6,
1.9 and 2.2 for the image; under 0.1 for the two maps."""


@dataclass(frozen=True)
class Plan:
    """Every slot of a recipe, numbered from 0.

    Where counts were raised later, the slots that were asked for first keep their numbers and those that were added follow.

    categories: (N,) int16 class ids, NEGATIVE for a negative. split_index: (N,) uint8 positions in `splits`. seed: the
    recipe's. seconds: (N,) bool, slots of counterfactual images, each behind its factual one; their category is that of
    the factual image. pairs: which slots have such.
    """

    categories: npt.NDArray[np.int16]
    split_index: npt.NDArray[np.uint8]
    splits: tuple[str, ...]
    seed: int
    seconds: npt.NDArray[np.bool_]
    pairs: _Pairs

    @classmethod
    def of(cls, recipe: Recipe, earlier: Sequence[AskedCounts] = ()) -> Plan:
        """The plan of a recipe. earlier: what was asked for before its counts were raised, as the run record has it.

        Categories are interleaved: image i of n stands at (i + ½) / n of the way, so that a run stopped half-way has half
        of each. Each category's images are dealt to the splits on their own, so that every split has its share of it.
        """
        blocks, taxonomy, pairs = list(recipe.blocks()), recipe.taxonomy(), recipe.counterfactual
        asked = AskedCounts(categories=tuple(block.count for _, block in blocks), negatives=recipe.negatives)
        ids = [category.id for category, _ in blocks]
        instead = taxonomy.named(pairs.instead).id if pairs and pairs.instead else None
        paired = _Pairs(pairs.share if pairs else 0.0, _things(taxonomy), instead)
        return cls._of_stages(ids, (*earlier, asked), recipe.splits, recipe.seed, paired)

    @classmethod
    def recorded(cls, store: BuildReader) -> Plan:
        """The plan of a build, from its run record alone: no plug-in that its recipe names is imported.

        Raises StoreError if the record is damaged.
        """
        try:
            recipe, asked = store.run.recipe, store.run.asked
            ids = [store.taxonomy.named(one["name"]).id for one in recipe["categories"]]
            splits = {str(name): float(share) for name, share in recipe["splits"].items()}
            if not 0 < sum(asked.categories) + asked.negatives <= MAX_IMAGES:
                raise ValueError("counts out of range")
            return cls._of_stages(ids, (*store.run.earlier, asked), splits, int(recipe["seed"]), _recorded_pairs(store))
        except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
            raise StoreError(f"{store.layout.run}: damaged ({error}); run the same build command again") from error

    @classmethod
    def _of_stages(
        cls, ids: Sequence[int], stages: Sequence[AskedCounts], splits: Mapping[str, float], seed: int, pairs: _Pairs
    ) -> Plan:
        """The plan of the last stage, whose slots come stage by stage. ids: of the categories, in the recipe's order."""
        plan = cls(np.empty(0, np.int16), np.empty(0, np.uint8), tuple(splits), seed, np.empty(0, bool), pairs)
        for asked in stages:
            plan = plan._with(dict(zip((*ids, NEGATIVE), (*asked.categories, asked.negatives), strict=True)), splits)
        return plan

    def _with(self, counts: Mapping[int, int], splits: Mapping[str, float]) -> Plan:
        """This plan with what is missing to this many images of each class behind it, and with their counterfactual ones."""
        had = {class_id: self.split_index[~self.seconds & (self.categories == class_id)] for class_id in counts}
        added = {
            class_id: count - len(had[class_id]) for class_id, count in counts.items() if count > len(had[class_id])
        }
        if not added:
            return self
        ids = np.concatenate([np.full(count, class_id, np.int16) for class_id, count in added.items()])
        split = np.concatenate([_deal(count, splits, self.seed, one, had[one]) for one, count in added.items()])
        position = np.concatenate([(np.arange(count) + 0.5) / count for count in added.values()])
        order = np.argsort(position, kind="stable")
        begun = self.pairs.begun(ids[order], {class_id: len(found) for class_id, found in had.items()})
        places = np.repeat(order, 1 + begun)
        seconds = np.concatenate([[False], places[1:] == places[:-1]])
        return replace(
            self,
            categories=np.concatenate([self.categories, ids[places]]),
            split_index=np.concatenate([self.split_index, split[places]]),
            seconds=np.concatenate([self.seconds, seconds]),
        )

    def __len__(self) -> int:
        return len(self.categories)

    def slot(self, index: int) -> Slot:
        """The slot of this number. Raises IndexError outside 0 … len - 1."""
        if not 0 <= index < len(self):
            raise IndexError(f"slot {index} is outside 0–{len(self) - 1}")
        category, pair = int(self.categories[index]), self._pair_of(index)
        own = None if category == NEGATIVE else category
        first = index if pair is None else pair.id
        return Slot(
            index=index,
            category=pair.instead if pair is not None and pair.counterfactual else own,
            split=self.splits[self.split_index[index]],
            seed=derive(self.seed, "slot", first),
            ordinal=int(self._ordinals[first]),
            pair=pair,
        )

    def _pair_of(self, index: int) -> Pair | None:
        second = bool(self.seconds[index])
        if not second and not (index + 1 < len(self) and self.seconds[index + 1]):
            return None
        return Pair(index - second, int(self.categories[index]), self.pairs.instead, second)

    def split_of(self, index: int) -> str:
        """The split of the slot of this number. Raises IndexError outside 0 … len - 1."""
        return self.slot(index).split

    @cached_property
    def _pairs(self) -> npt.NDArray[np.int64]:
        """(N,) a number for every pair of category and split."""
        return self.categories.astype(np.int64) * len(self.splits) + self.split_index

    @cached_property
    def _ordinals(self) -> npt.NDArray[np.int32]:
        """(N,) each slot's number among those of its category and split; 0 for counterfactual ones, which have their
        factual one's."""
        order = np.argsort(np.where(self.seconds, self._pairs.max() + 1, self._pairs), kind="stable")
        order = order[: len(self) - int(self.seconds.sum())]
        _, first, counts = np.unique(self._pairs[order], return_index=True, return_counts=True)
        ordinals = np.zeros(len(self), np.int32)
        ordinals[order] = np.arange(len(order)) - np.repeat(first, counts)
        return ordinals

    def needs(self) -> list[tuple[int | None, str, int]]:
        """(class id or None for negatives, split, images) of every pair that has images, in order of appearance.

        Counterfactual images are not counted: they come with their factual ones or not at all.
        """
        splits = len(self.splits)
        pairs, first, counts = np.unique(self._pairs[~self.seconds], return_index=True, return_counts=True)
        # Categories by their first slot, splits in the recipe's order.
        begins: dict[int, int] = {}
        for pair, index in zip(pairs, first, strict=True):
            begins[int(pair) // splits] = min(int(index), begins.get(int(pair) // splits, len(self)))
        rows = sorted(
            (begins[int(pair) // splits], int(pair), int(count)) for pair, count in zip(pairs, counts, strict=True)
        )
        return [
            (None if pair // splits == NEGATIVE else pair // splits, self.splits[pair % splits], count)
            for _, pair, count in rows
        ]


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Which slots begin a pair: `share` of those of every class in `things`. instead: class id of what stands in the object's
    place in the counterfactual image; None: nothing.
    """

    share: float
    things: frozenset[int]
    instead: int | None

    def begun(self, ids: npt.NDArray[np.int16], had: Mapping[int, int]) -> npt.NDArray[np.int64]:
        """(N,) 1 for a slot that begins a pair; evenly spread over each class. had: class id → slots before these."""
        begun = np.zeros(len(ids), np.int64)
        for category in self.things.intersection(np.unique(ids).tolist()):
            places = np.flatnonzero(ids == category)
            so_far = had[category] + np.arange(len(places) + 1)
            begun[places] = np.diff(np.floor(so_far * self.share + ULPS))  # as `pairs_among`
        return begun


def _recorded_pairs(store: BuildReader) -> _Pairs:
    """Those of a build. Raises KeyError, TypeError, ValueError, InputError if the record is damaged."""
    found = store.run.recipe.get("counterfactual")
    if not found:
        return _Pairs(0.0, frozenset(), None)
    instead = store.taxonomy.named(found["instead"]).id if found["instead"] else None
    return _Pairs(float(found["share"]), _things(store.taxonomy), instead)


def _things(taxonomy: Taxonomy) -> frozenset[int]:
    return frozenset(category.id for category in taxonomy if category.thing)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan costs at least, were every condition to give one image worth keeping.

    images: to be made, all candidates counted. bytes: masters on disk, without exports. seconds: None if no rate is
    known.
    """

    images: int
    bytes: int
    seconds: float | None


def estimate(plan: Plan, recipe: Recipe, images_per_second: float | None) -> Estimate:
    """What building the plan takes, at a rate of images made per second."""
    images = len(plan) * recipe.rfilter.candidates
    return Estimate(
        images=images,
        bytes=round(len(plan) * recipe.image.height * recipe.image.width * BYTES_PER_PIXEL),
        seconds=images / images_per_second if images_per_second else None,
    )


def share_out(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`count` divided by the shares: whole parts first, what is left by the largest remainder (ties: larger share, name)."""
    exact = {name: share * count for name, share in shares.items()}
    # A sum of shares such as 0.7 + 0.2 + 0.1 is off by an ulp, and so would be the whole part of 0.7 × 10.
    counts = {name: math.floor(value + 1e-6) for name, value in exact.items()}
    order = sorted(shares, key=lambda name: (round(counts[name] - exact[name], 9), -shares[name], name))
    for name in order[: count - sum(counts.values())]:
        counts[name] += 1
    return counts


def _deal(
    count: int, shares: Mapping[str, float], seed: int, class_id: int, had: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """(count,) the split of each image that a category gains: exact shares, in an order that only seed and class decide.

    had: (N,) the splits of the images that it has; what is added goes where the whole lacks most.
    """
    counts = share_out(count, _lacking(count, shares, had) if len(had) else shares)
    ordered = np.repeat(np.arange(len(shares), dtype=np.uint8), [counts[name] for name in shares])
    place = (class_id, len(had)) if len(had) else (class_id,)
    return ordered[np.argsort(_mixed(count, derive(seed, "deal", *place)), kind="stable")]


def _lacking(count: int, shares: Mapping[str, float], had: npt.NDArray[np.uint8]) -> dict[str, float]:
    """The shares by which `count` more images come closest to `shares` of all."""
    total = len(had) + count
    have = np.bincount(had, minlength=len(shares))
    lacks = {name: max(share * total - int(n), 0.0) for (name, share), n in zip(shares.items(), have, strict=True)}
    return {name: lack / sum(lacks.values()) for name, lack in lacks.items()}


def _mixed(count: int, seed: int) -> npt.NDArray[np.uint64]:
    """(count,) well-mixed 64-bit numbers: SplitMix64 (Steele, Lea and Flood 2014), the same under every numpy."""
    with np.errstate(over="ignore"):
        state = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))
