"""LoRA files: three spellings that come to the same weights, and those that are refused, each with its words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.lora import read_lora
from earthsynth_factory.models.lora_fusing import fuse
from earthsynth_factory.models.registry import ModelFiles
from earthsynth_factory.models.sgm_names import from_sgm
from tests.models.loras import ALPHA, RANK, SPELLINGS, Halves, kohya, peft, random_halves
from tests.tiny_models import make_pipeline


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_pipeline(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def halves(pipe: Any) -> Halves:
    return random_halves(pipe)


@pytest.fixture
def networks(tmp_path: Path) -> Any:
    return make_pipeline(tmp_path / "fresh")


@pytest.mark.parametrize("spelling", SPELLINGS)
@torch.no_grad()
def test_every_spelling_comes_to_the_same_weights(
    pipe: Any, networks: Any, halves: Halves, tmp_path: Path, spelling: str
) -> None:
    path = SPELLINGS[spelling](halves, tmp_path / "lora.safetensors")
    lora = read_lora(path, "mine", 0.5)
    for name in ("unet", "text_encoder"):
        fuse(getattr(networks, name), name, [lora], tmp_path)
        before, after = (dict(getattr(one, name).named_parameters()) for one in (pipe, networks))
        for layer in before:
            _, down, up = halves.get(f"{name}.{layer.removesuffix('.weight')}", (name, None, None))
            gain: Tensor | float = 0.0
            if down is not None and up is not None:
                gain = (0.5 * ALPHA / RANK * up.flatten(1) @ down.flatten(1)).reshape(before[layer].shape)
            assert torch.allclose(after[layer], before[layer] + gain, atol=1e-6), layer


def test_names_of_the_authors_code_are_those_of_diffusers() -> None:
    """Against the shapes of Stable Diffusion XL's levels: every layer of diffusers' UNet is met once, none beside."""
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64, 64), layers_per_block=2, cross_attention_dim=8, addition_embed_type="text_time",
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=64, use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    weights = [name for name, _ in unet.named_parameters() if name.endswith(".weight")]
    wanted = {name.removesuffix(".weight").replace(".", "_") for name in weights}
    met = [from_sgm(name.replace(".", "_")) for name in _names_of_the_authors()]
    assert len(met) == len(set(met))
    assert set(met) <= wanted
    assert {name for name in wanted if "attentions" not in name} <= set(met)


def _names_of_the_authors() -> list[str]:
    resnet = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
    attention = ["norm", "proj_in", "transformer_blocks.0.attn1.to_q", "proj_out"]
    names = ["input_blocks.0.0", "out.0", "out.2", "time_embed.0", "time_embed.2", "label_emb.0.0", "label_emb.0.2"]
    for block in (1, 2, 4, 5, 7, 8):
        names += [f"input_blocks.{block}.0.{one}" for one in resnet]
        names += [f"input_blocks.{block}.1.{one}" for one in attention if block > 2]
    names += ["input_blocks.4.0.skip_connection", "input_blocks.3.0.op", "input_blocks.6.0.op"]
    names += [f"middle_block.{n}.{one}" for n in (0, 2) for one in resnet] + [
        f"middle_block.1.{one}" for one in attention
    ]
    for block in range(9):
        names += [f"output_blocks.{block}.0.{one}" for one in [*resnet, "skip_connection"]]
        names += [f"output_blocks.{block}.1.{one}" for one in attention if block < 6]
    return [*names, "output_blocks.2.2.conv", "output_blocks.5.2.conv"]


def of_another_width(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: torch.cat([one, one], 1) if "to_q" in name and "lora_A" in name else one for name, one in weights.items()
    }


def of_another_family(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("down_blocks.0", "down_blocks.7"): one for name, one in weights.items()}


def of_flux(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("unet.", "transformer."): one for name, one in weights.items()}


def half_gone(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    first = next(name for name in weights if "lora_B" in name)
    return {name: one for name, one in weights.items() if name != first}


def halves_that_do_not_meet(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: one[:, :1].contiguous() if "lora_B" in name else one for name, one in weights.items()}


def quantised(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: (one * 100).to(torch.int8) for name, one in weights.items()}


def dora(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**weights, "lora_unet_x.dora_scale": torch.zeros(1)}


def loha(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"lora_unet_x.hada_w1_a": torch.zeros(1)}


def no_lora(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"conv_in.weight": torch.zeros(1)}


def nothing(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {}


REFUSED: list[tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = [
    (
        of_another_width,
        r"lora.safetensors: unet \w+_to_q: changes 32 → 16 channels, .*pipeline/unet has 16 → 16: a LoRA of",
    ),
    (of_another_family, r"lora.safetensors: \d+ of its \d+ layers are not in .*pipeline/unet \(unet down_blocks_7_\w+"),
    (of_flux, r"layers are not in .*: a LoRA of another family; take one made for this base"),
    (half_gone, r"has one of its two halves alone; fetch the file again"),
    (halves_that_do_not_meet, r"its halves have the shapes .* and .*; fetch the file again"),
    (quantised, r"lora_\w+.weight is of type I8: a quantised LoRA; take one in float16"),
    (dora, r"a DoRA \(lora_unet_x\.dora_scale\); LoRAs alone are read"),
    (loha, r"a LoHa \(lora_unet_x\.hada_w1_a\); LoRAs alone are read"),
    (no_lora, r"holds something else than a LoRA \(conv_in\.weight\)"),
    (nothing, r"no LoRA: it has none of a LoRA's weights"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED, ids=[change.__name__ for change, _ in REFUSED])
def test_a_file_that_is_refused(
    tiny_pipeline: Path, halves: Halves, tmp_path: Path, change: Callable[[Any], Any], words: str
) -> None:
    """Before any weight is loaded."""
    path = peft(halves, tmp_path / "lora.safetensors")
    save_file(change(load_file(path)), path)
    files = ModelFiles(tiny_pipeline, tiny_pipeline / "controlnet", loras=((path, "mine", 1.0),))
    with pytest.raises(ModelError, match=words):
        files.inspect()


@pytest.mark.parametrize(
    "notes", ["no json", "[" * 100_000, '{"unet.alpha_pattern": [1]}', '{"unet.lora_alpha": "x"}', "[]", "1"]
)
def test_notes_of_strangers(halves: Halves, tmp_path: Path, notes: str) -> None:
    """They come to nothing, or to an error of ours."""
    path = peft(halves, tmp_path / "lora.safetensors")
    save_file(load_file(path), path, {"lora_adapter_metadata": notes})
    try:
        assert all(update.scale == 1 for update in read_lora(path, "mine", 1.0).updates)
    except ModelError as error:
        assert "fetch the file again" in str(error)


def test_an_alpha_that_is_no_single_number(halves: Halves, tmp_path: Path) -> None:
    path = kohya(halves, tmp_path / "lora.safetensors")
    save_file({name: torch.ones(3) if name.endswith("alpha") else one for name, one in load_file(path).items()}, path)
    with pytest.raises(ModelError, match=r"\.alpha is no single number; fetch the file again"):
        read_lora(path, "mine", 1.0)


def test_a_file_that_was_cut_since_it_was_looked_at(networks: Any, halves: Halves, tmp_path: Path) -> None:
    lora = read_lora(peft(halves, tmp_path / "lora.safetensors"), "mine", 1.0)
    lora.path.write_bytes(lora.path.read_bytes()[:-8])
    with pytest.raises(ModelError, match=r"lora\.safetensors: cannot be read"):
        fuse(networks.unet, "unet", [lora], tmp_path)


def test_a_lora_that_is_no_number(networks: Any, halves: Halves, tmp_path: Path) -> None:
    path = peft(halves, tmp_path / "lora.safetensors")
    save_file({name: torch.full_like(one, float("nan")) for name, one in load_file(path).items()}, path)
    with pytest.raises(ModelError, match=r"lora\.safetensors: unet \w+ holds NaN; fetch the file again"):
        fuse(networks.unet, "unet", [read_lora(path, "mine", 1.0)], tmp_path)
