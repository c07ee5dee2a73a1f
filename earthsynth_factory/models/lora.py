"""LoRA files: low-rank updates of a model's weights (arXiv 2106.09685), read off their headers. No torch here.

Three spellings are read: of peft and diffusers (`unet.….lora_A.weight`), of diffusers before peft
(`….processor.to_q_lora.down.weight`) and of kohya's scripts (`lora_unet_….lora_down.weight`). Those disagree on dots and
underscores alone, so that a layer is looked up in the model with dots as underscores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.part import Part
from earthsynth_factory.models.safetensors_file import TensorFacts, read_header, read_metadata
from earthsynth_factory.models.sgm_names import from_sgm

UNET, TEXT, TEXT_2 = "unet", "text_encoder", "text_encoder_2"
"""The networks that a LoRA may change, as diffusers names them."""

Shape = tuple[int, ...]

_PREFIXES = {
    "lora_unet_": UNET,
    "lora_te1_": TEXT,
    "lora_te2_": TEXT_2,
    "lora_te_": TEXT,
    "unet.": UNET,
    "text_encoder_2.": TEXT_2,
    "text_encoder.": TEXT,
    "base_model.model.": UNET,
}

_NAME = re.compile(
    r"(?P<layer>.+?)(?:\.lora_(?P<letter>[AB])(?:\.\w+)?\.weight"
    r"|[._]lora(?:_linear_layer)?[._](?P<way>down|up)\.weight|\.(?P<alpha>alpha))"
)

_OTHER_KINDS = {
    "hada_": "a LoHa",
    "lokr_": "a LoKr",
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "lora_mid": "a LoCon with a middle layer",
    ".diff": "a full difference",
    "image_proj.": "an IP-Adapter",
    "ip_adapter.": "an IP-Adapter",
}


@dataclass(frozen=True, slots=True)
class LowRank:
    """An update of a layer: its weight gains `up · down`, scaled. down, up: names of tensors, (r, in, …) and (out, r, …).

    layer: its name, dots as underscores. alpha: name of the tensor that divided by r scales it; None: `scale` does.
    """

    network: str
    layer: str
    down: str
    up: str
    down_shape: Shape
    up_shape: Shape
    alpha: str | None
    scale: float


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA file with the weight that it is taken with. adapter: what it is called."""

    path: Path
    adapter: str
    weight: float
    updates: tuple[LowRank, ...]

    def of(self, network: str) -> list[LowRank]:
        """Those of one network."""
        return [update for update in self.updates if update.network == network]


def read_lora(path: Path, adapter: str, weight: float) -> Lora:
    """The LoRA in a safetensors file. Raises ModelError if it is damaged or of a kind that is not read."""
    header = read_header(path)
    layers = _layers(path, header)
    scales = _Scales(path)
    updates = [_update(path, network, layer, found, header, scales) for (network, layer), found in layers.items()]
    if not updates:
        raise ModelError(f"{path}: no LoRA: it has none of a LoRA's weights (lora_A, lora_down); name another file")
    return Lora(path, adapter, weight, tuple(updates))


def check_lora(lora: Lora, networks: Mapping[str, Part | None], place: Path) -> Iterator[str]:
    """Where the LoRA does not belong to the model. networks: those that it may change, None if the model has none."""
    shapes: dict[str, Mapping[str, Shape]] = {}
    for name, part in networks.items():
        if part is not None and part.original:
            return  # a file in the original layout has other names; they are compared when it is loaded
        shapes[name] = shapes_of(part) if part else {}
    yield from misfits(lora, shapes, place)


def misfits(lora: Lora, shapes: Mapping[str, Mapping[str, Shape]], place: Path) -> Iterator[str]:
    """As `check_lora`. shapes: network → layer, as `LowRank` spells it → shape of its weight. place: the model's."""
    strange = [one for one in lora.updates if one.layer not in shapes.get(one.network, {})]
    remedy = "a LoRA of another family; take one made for this base"
    if strange:
        some = ", ".join(f"{one.network} {one.layer}" for one in strange[:2]) + (", …" if len(strange) > 2 else "")
        yield f"{lora.path}: {len(strange)} of its {len(lora.updates)} layers are not in {place} ({some}): {remedy}"
        return
    for one in lora.updates:
        wanted = shapes[one.network][one.layer]
        if not _fits(one, wanted):
            yield (
                f"{lora.path}: {one.network} {one.layer}: changes {one.down_shape[1]} → {one.up_shape[0]} channels, "
                f"{place} has {wanted[1]} → {wanted[0]}: {remedy}"
            )
            return


def spelt(name: str) -> str:
    """A layer's name as LoRAs are looked up by: `text_model.` left out, dots as underscores."""
    return name.removeprefix("text_model.").replace(".", "_")


def shapes_of(part: Part) -> dict[str, Shape]:
    """Layer → shape of its weight, from the headers of a network's files."""
    found = {name: facts.shape for path in part.weights for name, facts in read_header(path).items()}
    return {spelt(name.removesuffix(".weight")): shape for name, shape in found.items() if name.endswith(".weight")}


def _layers(path: Path, header: Mapping[str, TensorFacts]) -> dict[tuple[str, str], dict[str, str]]:
    """(network, layer) → `down`, `up` and `alpha`, each the name of a tensor."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in header:
        match = _NAME.fullmatch(name)
        if match is None:
            raise ModelError(f"{path}: {_what(name)} ({name}); LoRAs alone are read, convert it or leave it out")
        role = {"A": "down", "B": "up"}.get(match["letter"]) or match["way"] or "alpha"
        found.setdefault(_where(match["layer"]), {})[role] = name
    return found


def _where(layer: str) -> tuple[str, str]:
    prefix = next((one for one in _PREFIXES if layer.startswith(one)), "")
    network, rest = _PREFIXES.get(prefix, UNET), layer.removeprefix(prefix)
    rest = rest.replace(".processor", "").replace(".", "_").removeprefix("text_model_")
    if network == UNET:
        rest = from_sgm(rest)
    return network, f"{rest}_0" if rest.endswith("to_out") else rest


def _update(
    path: Path, network: str, layer: str, found: dict[str, str], header: Mapping[str, TensorFacts], scales: _Scales
) -> LowRank:
    if "down" not in found or "up" not in found:
        raise ModelError(f"{path}: {network} {layer}: has one of its two halves alone; fetch the file again")
    down, up = header[found["down"]].shape, header[found["up"]].shape
    if len(down) < 2 or len(up) < 2 or down[0] != up[1] or not down[0]:
        raise ModelError(f"{path}: {network} {layer}: its halves have the shapes {down} and {up}; fetch the file again")
    whole = next((half for half in ("down", "up") if not header[found[half]].fractions), None)
    if whole:
        name = found[whole]
        raise ModelError(f"{path}: {name} is of type {header[name].dtype}: a quantised LoRA; take one in float16")
    alpha = found.get("alpha")
    if alpha and prod(header[alpha].shape) != 1:
        raise ModelError(f"{path}: {alpha} is no single number; fetch the file again")
    scale = scales.of(network, layer, down[0])
    return LowRank(network, layer, found["down"], found["up"], down, up, alpha, scale)


def _fits(update: LowRank, weight: Shape) -> bool:
    """Whether up · down goes from as many channels to as many, over as large a kernel. The kernel is the lower half's."""
    if len(weight) < 2 or (update.up_shape[0], update.down_shape[1]) != (weight[0], weight[1]):
        return False
    return _area(update.up_shape) == 1 and _area(update.down_shape) == _area(weight)


def _area(shape: Shape) -> int:
    """Cells of a convolution's kernel; 1 for a linear layer."""
    return prod(shape[2:])


def _what(name: str) -> str:
    return next((kind for word, kind in _OTHER_KINDS.items() if word in name), "holds something else than a LoRA")


class _Scales:
    """What peft notes beside its updates: alpha by layer, if it is not r."""

    def __init__(self, path: Path) -> None:
        try:
            noted = json.loads(read_metadata(path).get("lora_adapter_metadata", "{}"))
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path}: its notes on the adapter are no JSON ({error}); fetch the file again") from error
        self._noted: Mapping[str, Any] = noted if isinstance(noted, dict) else {}

    def of(self, network: str, layer: str, rank: int) -> float:
        """What up · down is multiplied with, the recipe's weight apart; 1 if nothing is noted."""
        alpha = self._noted.get(f"{network}.lora_alpha")
        patterns = self._noted.get(f"{network}.alpha_pattern")
        own = patterns.items() if isinstance(patterns, Mapping) else ()
        alpha = next((value for name, value in own if layer.endswith(spelt(str(name)))), alpha)
        if not isinstance(alpha, int | float):
            return 1.0
        return float(alpha) / (rank**0.5 if self._noted.get(f"{network}.use_rslora") else rank)
