"""A small CLIP tokenizer of our own: byte-pair merges learned from the words that prompts can hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from earthsynth_factory.io.atomic import write_bytes

START, END = "<|startoftext|>", "<|endoftext|>"
_PRINTABLE = [chr(code) for code in range(33, 127)]


def learn_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Merges after which every word is a single token: most frequent pair first, ties in code-point order."""
    pieces = {word: [*word[:-1], f"{word[-1]}</w>"] for word in sorted(set(words))}
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for parts in pieces.values() for pair in pairwise(parts)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        pieces = {word: _merged(parts, best) for word, parts in pieces.items()}
    return merges


def save_tokenizer(words: Iterable[str], folder: Path, length: int) -> CLIPTokenizer:
    """Writes vocab.json, merges.txt and the config for prompts of up to `length` tokens, and loads them."""
    merges = learn_merges(words)
    tokens = [*_PRINTABLE, *(f"{c}</w>" for c in _PRINTABLE), *(a + b for a, b in merges), START, END]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": length,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    specials = {key: value for key, value in settings.items() if key.endswith("_token")}
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    write_bytes(folder / "vocab.json", json.dumps(vocabulary).encode())
    write_bytes(folder / "merges.txt", ("\n".join(lines) + "\n").encode())
    write_bytes(folder / "tokenizer_config.json", json.dumps(settings, indent=1).encode())
    write_bytes(folder / "special_tokens_map.json", json.dumps(specials, indent=1).encode())
    return CLIPTokenizer.from_pretrained(folder)


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out
