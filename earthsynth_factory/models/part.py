"""One network's folder in diffusers' layout: its configuration, and which of its files are loaded. No torch here."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import ModelError
from earthsynth_factory.io.bounded import read_bounded
from earthsynth_factory.models.network_config import config_faults
from earthsynth_factory.models.safetensors_file import TensorFacts, read_header, unreadable

MAX_CONFIG_BYTES = 64 << 20
"""A tokenizer's vocabulary is the largest; anything above is another file."""

DIFFUSION, TEXT_STEM = "diffusion_pytorch_model", "model"
"""First part of the names of weight files: diffusers' networks, and the text encoder."""


_HARMLESS = ("position_ids",)
"""Ends of names that older libraries saved and newer ones make anew."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Weight files of a folder that belong together. variant: the word in their names, such as `fp16`, or None."""

    names: tuple[str, ...]
    index: str | None
    variant: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """A network as it lies on disk. weights: the files that are loaded, its shards in order.

    original: the weights are one file in the key layout from before diffusers; `config` then was read off its shapes.
    """

    folder: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    variant: str | None = None
    index: Path | None = None
    original: bool = False

    def get(self, key: str, default: Any = None) -> Any:
        """A value of the configuration."""
        return self.config.get(key, default)


def choose_weights(names: Collection[str], stem: str) -> Chosen | None:
    """The safetensors among a folder's file names that are loaded: without a variant if there are such, else `fp16`'s."""
    pattern = re.compile(
        rf"{stem}(?:\.(?P<before>\w+))?(?:-(?P<number>\d{{5}})-of-(?P<count>\d{{5}}))?(?:\.(?P<after>\w+))?\.safetensors"
    )
    sets: dict[str, list[tuple[str, int]]] = {}
    for name in sorted(names):
        match = pattern.fullmatch(name)
        if match:
            variant = match["before"] or match["after"] or ""
            sets.setdefault(variant, []).append((name, int(match["count"] or 1)))
    if not sets:
        return None
    variant = min(sets, key=lambda word: (word != "", word != "fp16", word))
    shards = [name for name, count in sets[variant] if count > 1]
    index = f"{stem}.safetensors.index{'.' * bool(variant)}{variant}.json"
    if shards and index in names:
        return Chosen(tuple(shards), index, variant or None)
    whole = [name for name, count in sets[variant] if count == 1]
    return Chosen(tuple(whole[:1]), None, variant or None) if whole else None


def read_part(folder: Path, stem: str, remedy: str = "") -> Part:
    """The network in a folder; every file that it needs is looked at. Raises ModelError naming what is missing."""
    config = read_config(folder / "config.json", remedy)
    if faults := config_faults(config):
        raise ModelError(f"{folder / 'config.json'}: {faults}; fetch the file again")
    if told := config.get("quantization_config"):
        method = told.get("quant_method") if isinstance(told, dict) else None
        raise ModelError(f"{folder / 'config.json'}: a quantised model ({str(method)[:40]}); take one in float16")
    names = _listed(folder)
    chosen = choose_weights(names, stem)
    if chosen is None:
        raise ModelError(_no_weights(folder, names, stem, remedy))
    index = folder / chosen.index if chosen.index else None
    weights = _shards(index, names) if index else tuple(folder / name for name in chosen.names)
    for path in weights:
        _refuse_whole_numbers(path, read_header(path))
    return Part(folder, config, weights, chosen.variant, index)


def _refuse_whole_numbers(path: Path, header: Mapping[str, TensorFacts]) -> None:
    names = [name for name, facts in header.items() if not facts.fractions and not _made(name)]
    if names:
        kind = header[names[0]].dtype
        raise ModelError(
            f"{path}: {len(names)} weights are no fractions ({names[0]}: {kind}): a quantised model; take one in float16"
        )


def _made(name: str) -> bool:
    return name.endswith(_HARMLESS)


def read_config(path: Path, remedy: str = "") -> dict[str, Any]:
    """An object in a JSON file. Raises ModelError: not there, not readable, too large, no JSON object."""
    try:
        data = read_bounded(path, MAX_CONFIG_BYTES)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise unreadable(path, error) from error
        raise ModelError(f"{path.parent}: {path.name} is missing{remedy or '; fetch the model again'}") from error
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise ModelError(f"{path}: {error}, no configuration; is it another file?") from error
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: no JSON ({error}); fetch the file again") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: holds no JSON object; fetch the file again")
    return found


def is_named(index: Mapping[str, Any], part: str) -> bool:
    """Whether a pipeline's model_index.json names a part: its library and class, null if it has none."""
    named = index.get(part)
    return isinstance(named, list) and any(named)


def refuse_unmatched(place: Path, report: Mapping[str, Collection[Any]]) -> None:
    """Raises ModelError if a library says that weights were missing, left over or of another shape."""
    for kind, word in (
        ("missing_keys", "missing"),
        ("mismatched_keys", "of another shape"),
        ("unexpected_keys", "left over"),
    ):
        names = [name for name in map(_name, report.get(kind) or ()) if not _made(name)]
        if names:
            some = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
            are = "weight is" if len(names) == 1 else "weights are"
            raise ModelError(f"{place}: {len(names)} {are} {word} ({some}); fetch or convert the model again")


def _listed(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise unreadable(folder, error) from error


def _shards(index: Path, names: Collection[str]) -> tuple[Path, ...]:
    """The files that an index names; only files of its own folder are taken."""
    weight_map = read_config(index).get("weight_map")
    wanted = sorted({str(name) for name in weight_map.values()}) if isinstance(weight_map, dict) else []
    if not wanted:
        raise ModelError(f"{index}: names no weight files; fetch it again")
    lacking = [name for name in wanted if name not in names]
    if lacking:
        raise ModelError(
            f"{index.parent}: {len(lacking)} of {len(wanted)} weight files are missing ({lacking[0]}); fetch them"
        )
    return tuple(index.parent / name for name in wanted)


def _no_weights(folder: Path, names: Collection[str], stem: str, remedy: str) -> str:
    others = sorted(name for name in names if name.endswith((".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".h5")))
    safe = sorted(name for name in names if name.endswith((".safetensors", ".safetensors.index.json")))
    if others and not safe:
        return (
            f"{folder}: no safetensors weights here (other formats are not read, they could run code); "
            f"convert {others[0]} with `save_pretrained(..., safe_serialization=True)`"
        )
    if any("-of-" in name for name in safe):
        return f"{folder}: {stem}.safetensors.index.json is missing, which names the shards ({safe[0]}, …); fetch it"
    seen = f"; it has {', '.join(safe[:3])}" if safe else ""
    return f"{folder}: {stem}.safetensors is missing{seen}{remedy or '; fetch the model again'}"


def _name(entry: Any) -> str:
    """A mismatched key comes with its two shapes."""
    return str(entry[0] if isinstance(entry, tuple | list) else entry)
