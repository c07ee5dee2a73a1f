"""What a step sees: a pure function of seed, position and rank. Real samples by the epoch's order, then composed ones.

Shapes: R real and C composed samples, N = R + C, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.domain.masks import present_classes
from earthsynth_factory.domain.seeds import rng
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE
from earthsynth_factory.training import order
from earthsynth_factory.training.cf_comp.compose import Composed, Pair
from earthsynth_factory.training.cf_comp.criteria import BatchScenes
from earthsynth_factory.training.cf_comp.select import choose_pairs
from earthsynth_factory.training.controlnet.dataset import TrainingDataset, TrainingSample
from earthsynth_factory.training.controlnet.pictures import fit_mask, read_classes, turned_image
from earthsynth_factory.training.controlnet.spec import ControlNetRecipe
from earthsynth_factory.training.order import dihedral


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """One pass of one process.

    picks int64 (R,), places in the dataset; turns int64 (R,), the square's symmetry of each. masks uint8 (N, S, S);
    local bool (N, S, S), foreground and what was pasted. images uint8 (C, S, S, 3), the composed ones. prompts (N,), ""
    where dropped; guided bool (N,), False if the control image is dropped.
    """

    picks: npt.NDArray[np.int64]
    turns: npt.NDArray[np.int64]
    masks: npt.NDArray[np.uint8]
    local: npt.NDArray[np.bool_]
    images: npt.NDArray[np.uint8]
    prompts: tuple[str, ...]
    guided: npt.NDArray[np.bool_]
    composed: tuple[Composed, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def choices(self, dataset: TrainingDataset) -> list[dict[str, object]]:
        """The composed samples as plain JSON: what was pasted on what, with which scores."""
        names = [dataset.samples[pick].mask.stem for pick in self.picks]
        return [
            {**one.choice.record(), "base": names[one.choice.base], "donor": names[one.choice.donor], "text": one.text}
            for one in self.composed
        ]


class Batches:
    """Batches of one process (`rank` of `world`). Positions count real samples of all processes from the run's start."""

    def __init__(
        self, dataset: TrainingDataset, recipe: ControlNetRecipe, writer: PromptWriter, rank: int, world: int
    ) -> None:
        self.dataset, self.recipe, self.writer = dataset, recipe, writer
        self.rank, self.world = rank, world
        self.composed = recipe.cf_comp.composed(recipe.optim.batch)
        self.real = recipe.optim.batch - self.composed
        self._rarity, self._things = dataset.rarity(), dataset.things()

    @property
    def stride(self) -> int:
        """How far one pass of all processes moves the position."""
        return self.real * self.world

    def at(self, position: int) -> Batch:
        """The batch of the pass that starts at `position`."""
        seed, count = self.recipe.seed, len(self.dataset.samples)
        picks = order.span(seed, position + self.rank * self.real, self.real, count)
        random = rng(seed, "batch", position, self.rank)
        samples = [self.dataset.samples[pick] for pick in picks]
        turns = np.array([int(random.choice(self.symmetries(sample))) for sample in samples])
        masks = np.stack([self.mask(s, int(turn)) for s, turn in zip(samples, turns, strict=True)])
        composed = self._compose(samples, turns, masks, random)
        scenes = [one.scene for one in composed]
        pasted = [one.region for one in composed]
        whole = np.concatenate([masks, *(mask[None] for _, mask in scenes)])
        local = (whole != BACKGROUND) & (whole != IGNORE)
        local[len(masks) :] |= np.stack(pasted) if pasted else np.zeros((0, *masks.shape[1:]), bool)
        prompts = [*(self.prompt(sample) for sample in samples), *(one.text for one in composed)]
        dropped = random.random(len(prompts)) < self.recipe.loss.prompt_dropout
        guided = random.random(len(prompts)) >= self.recipe.loss.control_dropout
        size = self.recipe.size
        return Batch(
            picks=picks,
            turns=turns,
            masks=whole,
            local=local,
            images=np.stack([image for image, _ in scenes]) if scenes else np.zeros((0, size, size, 3), np.uint8),
            prompts=tuple("" if drop else prompt for prompt, drop in zip(prompts, dropped, strict=True)),
            guided=guided,
            composed=tuple(composed),
        )

    def symmetries(self, sample: TrainingSample) -> list[int]:
        """The symmetries of a sample that are learnt from; the first is the image as it is."""
        others = 1 + rng(self.recipe.seed, "turns", sample.digest).permutation(7)
        return [0, *others.tolist()][: self.recipe.data.variants]

    def prompt(self, sample: TrainingSample) -> str:
        """The prompt of a real sample."""
        if self.recipe.data.prompts == "file":
            return sample.text
        return self.writer.write(sample.ids, self._scale(sample))

    def mask(self, sample: TrainingSample, turn: int = 0) -> npt.NDArray[np.uint8]:
        """Its mask (S, S) at the training size, in one of the square's symmetries."""
        fitted = fit_mask(read_classes(sample.mask, self.dataset.lut), self.recipe.size)
        return np.ascontiguousarray(dihedral(fitted, turn))

    def image(self, sample: TrainingSample, turn: int = 0) -> npt.NDArray[np.uint8]:
        """Its image (S, S, 3), likewise."""
        return turned_image(sample.image, self.recipe.size, turn)

    def _scale(self, sample: TrainingSample) -> float:
        """Metres per pixel at the training size."""
        return sample.metres_per_pixel * sample.side / self.recipe.size

    def _compose(
        self,
        samples: Sequence[TrainingSample],
        turns: npt.NDArray[np.int64],
        masks: npt.NDArray[np.uint8],
        random: np.random.Generator,
    ) -> list[Composed]:
        if not self.composed:
            return []
        members = BatchScenes(
            masks=masks,
            colour_stats=np.array([sample.colour_stats for sample in samples]),
            sources=np.array([sample.source for sample in samples]),
            rarity=self._rarity,
            things=self._things,
        )
        choices, regions = choose_pairs(members, self.recipe.cf_comp, self.composed, random)
        used = {place for choice in choices for place in (choice.base, choice.donor)}
        pairs: dict[int, Pair] = {
            place: (self.image(samples[place], int(turns[place])), masks[place]) for place in sorted(used)
        }
        made = []
        for choice in choices:
            base, donor, region = pairs[choice.base], pairs[choice.donor], regions[choice.donor]
            ids = present_classes(np.where(region, donor[1], base[1]))
            text = self.writer.write(ids, self._scale(samples[choice.base]))
            made.append(Composed(choice, base, donor, region, text))
        return made
