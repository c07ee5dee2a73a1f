"""Prompts as embeddings, each computed once and by itself; those that the text encoder cuts are noted with what is lost."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

REMEMBERED, TOLD = 4096, 20
"""Embeddings that are kept; lost parts that are told."""


class PromptWords:
    """Embeddings (1, T, D) of prompts by a pipeline's text encoder."""

    def __init__(self, pipe: Any, device: torch.device) -> None:
        self._pipe, self._device = pipe, device
        self._lost: Counter[str] = Counter()
        self._embed = lru_cache(maxsize=REMEMBERED)(self._embedded)

    def __call__(self, prompt: str) -> Tensor:
        """The embedding of one prompt; it does not depend on other prompts."""
        return self._embed(prompt)

    def notes(self) -> list[str]:
        """The parts of prompts that were lost so far, a line each, the commonest first."""
        room = self._pipe.tokenizer.model_max_length
        return [
            f"cut off, the model reads {room} tokens of a prompt: {words!r}"
            for words, _ in self._lost.most_common(TOLD)
        ]

    def _embedded(self, prompt: str) -> Tensor:
        self._lost.update(lost_words(self._pipe.tokenizer, prompt))
        embedding: Tensor = self._pipe.encode_prompt(prompt, self._device, 1, do_classifier_free_guidance=False)[0]
        return embedding


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
