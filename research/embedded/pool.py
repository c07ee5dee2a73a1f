"""All crops that the generator learns from, on the device: batches balanced over categories and turned in every way.

Shapes: images uint8 (N, 3, S, S); masks uint8 (N, S, S); tokens int64 (N, TOKENS).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from earthsynth_factory.domain.taxonomy import earthsynth
from research.embedded import networks
from research.embedded.captions import captions
from research.embedded.crops import CropSet, Scene, cut_scenes
from research.embedded.recipe import SourceSpec
from research.embedded.scenes import Scenes


@dataclass(frozen=True, slots=True)
class Batch:
    """images float (B, 3, S, S) in [-1, 1]; masks uint8 (B, S, S); tokens int64 (B, TOKENS)."""

    images: Tensor
    masks: Tensor
    tokens: Tensor


def cut_pool(scenes: Scenes, sources: dict[str, SourceSpec], size: int, share: float, seed: int) -> CropSet:
    """Every source's crops of its scenes, `share` of what the recipe asks for."""
    whole: CropSet | None = None
    for name, part in scenes.items():
        numbered: dict[str, Scene] = {str(number): scene for number, scene in enumerate(part)}
        plan = sources[name].pool_plan(share)
        crops = cut_scenes(list(numbered), partial(dict.__getitem__, numbered), plan, size, (seed, name, "pool"))
        whole = crops if whole is None else whole.joined(crops)
    assert whole is not None, "a file of scenes holds one at least"
    return whole


class Pool:
    """See the module. `palette` (256, 3) in [0, 1] are the control image's colours, `empty` an empty prompt's tokens."""

    def __init__(self, crops: CropSet, tokenizer: CLIPTokenizer, device: torch.device) -> None:
        order = np.argsort(crops.focus, kind="stable")
        counts = np.unique(crops.focus, return_counts=True)[1]
        self.images = _to(crops.images[order], device).permute(0, 3, 1, 2)
        self.masks = _to(crops.masks[order], device)
        self.tokens = tokenise(tokenizer, captions(crops))[torch.from_numpy(order)].to(device)
        self.empty = tokenise(tokenizer, [""]).to(device)
        self.palette = torch.tensor(earthsynth().palette(), device=device).reshape(256, 3).float() / 255
        self._counts = torch.from_numpy(counts).to(device)
        self._first = self._counts.cumsum(0) - self._counts
        self.device = device

    def batch(self, count: int, random: torch.Generator) -> Batch:
        """`count` crops: each of a category drawn evenly, in one of the square's symmetries."""
        category = torch.randint(len(self._counts), (count,), generator=random, device=self.device)
        within = torch.rand(count, generator=random, device=self.device) * self._counts[category]
        picks = self._first[category] + within.long().clamp(max=self._counts[category] - 1)
        turned = [_turn(part, number % 8) for number, part in enumerate(self.images[picks].tensor_split(min(8, count)))]
        masks = [_turn(part, number % 8) for number, part in enumerate(self.masks[picks].tensor_split(min(8, count)))]
        images = torch.cat(turned).float() / 127.5 - 1
        return Batch(images.contiguous(memory_format=torch.channels_last), torch.cat(masks), self.tokens[picks])

    def control(self, masks: Tensor) -> Tensor:
        """Control images (B, 3, S, S) in [0, 1] of masks."""
        painted = self.palette[masks.int()].permute(0, 3, 1, 2)
        return painted.contiguous(memory_format=torch.channels_last)


def tokenise(tokenizer: CLIPTokenizer, prompts: list[str]) -> Tensor:
    """Token ids int64 (N, TOKENS), padded as the pipeline pads."""
    different = sorted(set(prompts))
    ids = tokenizer(different, padding="max_length", max_length=networks.TOKENS, truncation=True, return_tensors="pt")
    place = {prompt: number for number, prompt in enumerate(different)}
    tokens: Tensor = ids.input_ids[torch.tensor([place[prompt] for prompt in prompts])]
    return tokens


def _turn(array: Tensor, turn: int) -> Tensor:
    """One of the eight symmetries of (…, S, S)."""
    turned = torch.rot90(array, turn % 4, (-2, -1))
    return turned.flip(-1) if turn >= 4 else turned


def _to(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
