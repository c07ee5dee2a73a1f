"""Layers of a UNet by its authors' names (`input_blocks.4.1`), as diffusers says them (`down_blocks.1.attentions.0`)."""

from __future__ import annotations

import re

_LAYERS = 2
"""Of a block of Stable Diffusion XL and 1.x."""

_INSIDE = {
    "in_layers_0": "norm1",
    "in_layers_2": "conv1",
    "out_layers_0": "norm2",
    "out_layers_3": "conv2",
    "emb_layers_1": "time_emb_proj",
    "skip_connection": "conv_shortcut",
}

_AROUND = {
    "input_blocks_0_0": "conv_in",
    "out_0": "conv_norm_out",
    "out_2": "conv_out",
    "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
}

_BLOCK = re.compile(
    r"(?P<way>input_blocks_(?P<down>\d+)|output_blocks_(?P<up>\d+)|middle_block)_(?P<part>\d+)_(?P<rest>.+)"
)


def from_sgm(layer: str) -> str:
    """A layer's name, dots as underscores, in diffusers' words; names that are not of the authors' code stay."""
    if layer in _AROUND:
        return _AROUND[layer]
    match = _BLOCK.fullmatch(layer)
    if match is None:
        return layer
    part, rest = int(match["part"]), _INSIDE.get(match["rest"], match["rest"])
    if match["down"]:
        level, place = divmod(int(match["down"]) - 1, _LAYERS + 1)
        inner = (
            f"downsamplers_0_{'conv' if rest == 'op' else rest}"
            if place == _LAYERS
            else f"{_kind(part)}_{place}_{rest}"
        )
        return f"down_blocks_{level}_{inner}"
    if match["up"]:
        level, place = divmod(int(match["up"]), _LAYERS + 1)
        inner = f"upsamplers_0_{rest}" if rest == "conv" else f"{_kind(part)}_{place}_{rest}"
        return f"up_blocks_{level}_{inner}"
    return f"mid_block_{'attentions_0' if part == 1 else f'resnets_{part // 2}'}_{rest}"


def _kind(part: int) -> str:
    return "attentions" if part else "resnets"
