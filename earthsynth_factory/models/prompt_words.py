"""Prompts as embeddings, each computed once and by itself; those that the text encoder cuts are noted with what is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

REMEMBERED, TOLD = 4096, 20
"""Embeddings that are kept; lost parts that are told."""


@dataclass(frozen=True, eq=False, slots=True)
class Words:
    """Prompts as a network reads them. tokens: (B, T, D). pooled: (B, P), each as a whole, for Stable Diffusion XL.

    style: (B, 1, …), the pictures that stand beside the words; see `StyleImages`.
    """

    tokens: Tensor
    pooled: Tensor | None = None
    style: Tensor | None = None

    @classmethod
    def together(cls, parts: Sequence[Words]) -> Words:
        """Those of several prompts as one batch."""
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return cls(torch.cat([part.tokens for part in parts]), torch.cat(pooled) if pooled else None)


class PromptWords:
    """Embeddings of prompts by a pipeline's text encoders, each computed by itself, whatever comes beside it."""

    def __init__(self, pipe: Any, device: torch.device) -> None:
        self._pipe, self._device = pipe, device
        self._lost: Counter[str] = Counter()
        self._embed = lru_cache(maxsize=REMEMBERED)(self._embedded)

    def __call__(self, prompts: Sequence[str]) -> Words:
        """The embeddings of prompts."""
        return Words.together([self._embed(prompt) for prompt in prompts])

    def against(self, prompts: Sequence[str]) -> Words:
        """What guidance leads away from; nothing at all is zeros, if the pipeline was made so."""
        found = [self._embed(prompt) for prompt in prompts]
        if getattr(self._pipe.config, "force_zeros_for_empty_prompt", False):
            found = [words if prompt else _zeros(words) for prompt, words in zip(prompts, found, strict=True)]
        return Words.together(found)

    def notes(self) -> list[str]:
        """The parts of prompts that were lost so far, a line each, the commonest first."""
        room = self._pipe.tokenizer.model_max_length
        return [
            f"cut off, the model reads {room} tokens of a prompt: {words!r}"
            for words, _ in self._lost.most_common(TOLD)
        ]

    def _embedded(self, prompt: str) -> Words:
        self._lost.update(lost_words(self._pipe.tokenizer, prompt))
        asked = {"device": self._device, "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
        found = self._pipe.encode_prompt(prompt, **asked)
        return Words(found[0], found[2] if len(found) > 2 else None)


def _zeros(words: Words) -> Words:
    return Words(torch.zeros_like(words.tokens), None if words.pooled is None else torch.zeros_like(words.pooled))


def lost_words(tokenizer: Any, prompt: str) -> list[str]:
    """The parts of a prompt, as its commas divide it, that the tokenizer's length does not hold whole."""
    if len(tokenizer(prompt).input_ids) <= tokenizer.model_max_length:
        return []
    ids = tokenizer(prompt, truncation=True, max_length=tokenizer.model_max_length).input_ids
    kept = _plain(tokenizer.decode(ids, skip_special_tokens=True))
    parts = [part.strip() for part in prompt.split(",")]
    reached = 0
    for number, part in enumerate(parts):
        place = kept.find(_plain(part), reached)
        if place < 0:
            return parts[number:]
        reached = place + len(_plain(part))
    return []


def _plain(text: str) -> str:
    return "".join(text.lower().split())
