"""A CLIP from one file of weights, as RemoteCLIP and GeoRSCLIP are published, for an architecture that open_clip knows.

The file is safetensors, or torch's format read by its weights-only loader, which builds tensors and plain containers and
runs nothing. The names in it are open_clip's, perhaps wrapped (`{"state_dict": …}`, `module.` before every name).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from earthsynth_factory.errors import ModelError, first_line

MAX_BYTES = 32 << 30
"""Largest file of weights that is read; the largest published CLIP has a third of it."""

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put the weights."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What data-parallel training, compilation and wrapping classes put before every name."""

NOT_WEIGHTS = {
    "input_resolution",
    "context_length",
    "vocab_size",
    "attn_mask",
    "text.transformer.embeddings.position_ids",
}
"""What some files hold besides weights; the architecture has it already."""

Weights = dict[str, torch.Tensor]


def load_checkpoint(architecture: str, path: Path) -> tuple[Any, Any, Any]:
    """The model with the file's weights, its preprocessing and its tokenizer.

    Raises ModelError: an unknown architecture, a file that is damaged or holds more than weights, weights of other shapes.
    """
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    if ":" in architecture:
        raise ModelError(f"CLIP {architecture}: for a file of weights write open_clip's name alone, such as ViT-B-32")
    weights = read_weights(path)
    try:
        with _quiet():
            model = open_clip.create_model(architecture, load_weights=False, pretrained_text=False)
        tokenizer = open_clip.get_tokenizer(architecture)
        preprocess = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    except Exception as error:  # open_clip raises many kinds; all mean that there is no such architecture
        raise ModelError(f"CLIP {architecture} cannot be built: {first_line(error)}") from error
    weights = _as_the_model_names_them(weights, model)
    _check(weights, model.state_dict(), path, architecture)
    model.load_state_dict(weights)
    return model, preprocess, tokenizer


def read_weights(path: Path) -> Weights:
    """Name → tensor, unwrapped. Raises ModelError if the file is damaged, too large, or holds more than weights."""
    if path.stat().st_size > MAX_BYTES:
        raise ModelError(f"{path}: larger than {MAX_BYTES >> 30} GiB; no CLIP is")
    try:
        found = _safetensors(path) if path.suffix.lower() == ".safetensors" else _torch(path)
    except Exception as error:  # a damaged or hostile file may raise anything; none of it was run
        raise ModelError(
            f"{path}: cannot be read as weights alone, and nothing else is read, for it could run code "
            f"({first_line(error)}); save its state_dict as safetensors"
        ) from error
    return _unwrapped(found, path)


def _safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _torch(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _unwrapped(found: Any, path: Path) -> Weights:
    for key in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not found:
        raise ModelError(f"{path}: holds a {type(found).__name__}, not weights by name; save the model's state_dict")
    if strange := [name for name, value in found.items() if not isinstance(value, torch.Tensor)]:
        raise ModelError(f"{path}: {_some(map(str, strange))} are no tensors; save the model's state_dict alone")
    weights = {str(name): value for name, value in found.items()}
    while prefix := next((one for one in PREFIXES if all(name.startswith(one) for name in weights)), ""):
        weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _as_the_model_names_them(weights: Weights, model: Any) -> Weights:
    """The text tower's names as the architecture has them, scalars as it shapes them, without what is no weight."""
    from open_clip.model import convert_to_custom_text_state_dict

    if "positional_embedding" in weights and not hasattr(model, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    own = model.state_dict()
    return {
        name: value.reshape(own[name].shape) if name in own and value.numel() == own[name].numel() == 1 else value
        for name, value in weights.items()
        if name in own or name not in NOT_WEIGHTS
    }


def _check(given: Weights, own: Weights, path: Path, architecture: str) -> None:
    other = [
        f"{name} is {tuple(given[name].shape)} in the file and {tuple(value.shape)} in the architecture"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    parts = [
        f"{_some(other)}" if other else "",
        f"missing: {_some(missing)}" if (missing := sorted(set(own) - set(given))) else "",
        f"unknown: {_some(unknown)}" if (unknown := sorted(set(given) - set(own))) else "",
    ]
    if any(parts):
        raise ModelError(
            f"{path}: does not fit {architecture}: {'; '.join(part for part in parts if part)}. "
            "Write the architecture that it was trained as in `name`"
        )


def _some(names: Any) -> str:
    """The first three, and how many more."""
    listed = list(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's warning that the model is random; it is filled at once."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
