"""What the frozen parts give, computed once and kept on disk: latents as mean and deviation, prompts as embeddings.

Shards are safetensors files, their keys in the header. Latents are keyed by the image's bytes and the symmetry, in a
folder named after the autoencoder's hash and the size; prompts by their text, in one named after the text encoder's.

Composed images are encoded as they are made: a paste in latent cells is another thing than the latent of a paste,
because an encoder's cells see beyond their 8×8 pixels (`tests/benchmarks/training.py` measures how much and the cost).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from earthsynth_factory.engines.base import Engine
from earthsynth_factory.engines.in_order import results_in_order
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.part import Part
from earthsynth_factory.models.weights import file_hash
from earthsynth_factory.training.checkpoint import write_tensors

ENCODED = 8
"""Images encoded at once."""

SHARD = 128 * ENCODED
"""Entries of a shard."""

KEPT_PROMPTS = 8192
"""Embeddings of composed scenes' prompts that are held in memory."""


def part_hash(part: Part) -> str:
    """Twelve hex digits for the weights of a network."""
    hashes = json.dumps(sorted((path.name, file_hash(path)) for path in part.weights))
    return hashlib.blake2b(hashes.encode(), digest_size=6).hexdigest()


class Shards:
    """Tensors float16 of one shape by key, in the shards of a folder."""

    def __init__(self, folder: Path) -> None:
        """Raises ModelError if a shard is damaged."""
        self._folder = folder
        self._places: dict[str, tuple[Any, int]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            self._open(path)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> Tensor:
        handle, row = self._places[key]
        found: Tensor = handle.get_slice("values")[row]
        return found

    def add(self, entries: Mapping[str, Tensor]) -> None:
        """Writes a shard, whole or not at all. Raises DiskError."""
        name = hashlib.blake2b("\n".join(entries).encode(), digest_size=8).hexdigest()
        path = self._folder / f"{name}.safetensors"
        write_tensors(path, {"values": torch.stack(list(entries.values())).half()}, {"keys": list(entries)})
        self._open(path)

    def _open(self, path: Path) -> None:
        try:
            handle: Any = safe_open(path, framework="pt")
            keys = json.loads(handle.metadata()["facts"])["keys"]
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: a damaged cache file ({error}); remove it, it will be made again") from error
        self._places |= {key: (handle, row) for row, key in enumerate(keys)}


class LatentEncoder:
    """Moments (2C, h, w) of images: mean and deviation of the autoencoder's posterior, scaled as the UNet wants them."""

    def __init__(self, vae: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        """vae: on the device. dtype: what it computes in, for cached and composed images alike."""
        self._vae, self._device, self._dtype = vae, device, dtype

    def encode(self, images: Tensor) -> Tensor:
        """Moments (B, 2C, h, w) of uint8 images (B, S, S, 3); a few at once, so that memory does not grow with the batch."""
        return torch.cat([self._encode(images[at : at + ENCODED]) for at in range(0, len(images), ENCODED)])

    @torch.no_grad()
    def _encode(self, images: Tensor) -> Tensor:
        pixels = images.to(self._device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not torch.float32):
            posterior = self._vae.encode(pixels.contiguous(memory_format=torch.channels_last)).latent_dist
        shift, scale = self._vae.config.shift_factor or 0.0, self._vae.config.scaling_factor
        return torch.cat([(posterior.mean.float() - shift) * scale, posterior.std.float() * scale], dim=1)


Load = Callable[[], npt.NDArray[np.uint8]]
"""Gives an image (S, S, 3)."""


@dataclass(frozen=True)
class EncodeTask:
    """Encodes a few images at a time. opened: gives the encoder on a device; picklable if several processes are to encode."""

    opened: Callable[[str], LatentEncoder]

    def open(self, device: str) -> Callable[[Sequence[Load]], npt.NDArray[np.float16]]:
        encoder = self.opened(device)

        def moments(some: Sequence[Load]) -> npt.NDArray[np.float16]:
            images = torch.stack([torch.from_numpy(load()) for load in some])
            found: npt.NDArray[np.float16] = encoder.encode(images).half().cpu().numpy()
            return found

        return moments


class LatentCache:
    """Moments of images by key, on the disk. encoder: for what is not there, as composed images never are."""

    def __init__(self, folder: Path, encoder: LatentEncoder) -> None:
        self.shards, self.encoder = Shards(folder), encoder
        self._folder = folder

    def lacking(self, wanted: Iterable[tuple[str, Load]]) -> list[tuple[str, Load]]:
        """Those that are not stored, each once."""
        return [(key, load) for key, load in dict(wanted).items() if key not in self.shards]

    def fill(
        self,
        lacking: Sequence[tuple[str, Load]],
        engine: Engine,
        task: EncodeTask,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        """Encodes and stores images; the shards do not depend on the engine. on_progress: called with counts."""
        entries: dict[str, Tensor] = {}
        done = 0

        def take(moments: npt.NDArray[np.float16]) -> None:
            nonlocal done
            keys = [key for key, _ in lacking[done : done + len(moments)]]
            entries.update(zip(keys, torch.from_numpy(moments), strict=True))
            done += len(moments)
            on_progress(done, len(lacking))
            if len(entries) == SHARD or done == len(lacking):
                self.shards.add(entries)
                entries.clear()

        some = (lacking[at : at + ENCODED] for at in range(0, len(lacking), ENCODED))
        results_in_order(engine, task, ([load for _, load in one] for one in some), take, threading.Event())

    def reopen(self) -> None:
        """Sees what other processes have written."""
        self.shards = Shards(self._folder)

    def moments(self, keys: Iterable[str]) -> Tensor:
        """(B, 2C, h, w) float16 of cached images."""
        return torch.stack([self.shards[key] for key in keys])


class PromptCache:
    """Embeddings (T, D) of prompts. Each is computed by itself, so that it does not depend on its company."""

    def __init__(self, folder: Path, text: Any, tokenizer: Any, device: torch.device) -> None:
        self.shards = Shards(folder)
        self._text, self._tokenizer, self._device = text, tokenizer, device
        self._made: dict[str, Tensor] = {}

    def fill(self, prompts: Iterable[str]) -> None:
        """Embeds and stores those that are missing."""
        missing = [prompt for prompt in dict.fromkeys(prompts) if _key(prompt) not in self.shards]
        for start in range(0, len(missing), SHARD):
            part = missing[start : start + SHARD]
            self.shards.add({_key(prompt): self._embed(prompt).cpu() for prompt in part})

    def __call__(self, prompts: Iterable[str]) -> Tensor:
        """(B, T, D) float32 on the device."""
        return torch.stack([self._one(prompt) for prompt in prompts]).to(self._device).float()

    def too_long(self, prompts: Iterable[str]) -> list[str]:
        """Prompts that the tokenizer would cut."""
        most = self._tokenizer.model_max_length
        return [prompt for prompt in dict.fromkeys(prompts) if len(self._tokenizer(prompt).input_ids) > most]

    def _one(self, prompt: str) -> Tensor:
        key = _key(prompt)
        if key in self.shards:
            return self.shards[key]
        if key not in self._made:
            if len(self._made) >= KEPT_PROMPTS:
                self._made.pop(next(iter(self._made)))
            self._made[key] = self._embed(prompt).half().cpu()
        return self._made[key]

    @torch.no_grad()
    def _embed(self, prompt: str) -> Tensor:
        ids = self._tokenizer(
            prompt,
            padding="max_length",
            max_length=self._tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        found: Tensor = self._text(ids.to(self._device))[0][0]
        return found


def _key(prompt: str) -> str:
    return hashlib.blake2b(prompt.encode(), digest_size=12).hexdigest()
