"""Where a model's card is looked for, what it says of a model that has none, and what decides a build's pixels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.card import read_card
from earthsynth_factory.models.prompt_words import lost_words
from earthsynth_factory.models.registry import ModelFiles, TwoPartModel, card_of
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from tests.models.test_layouts import image_of, old_tokenizer, parts, settings, spec
from tests.tiny_models import make_pipeline, make_xl_pipeline

__all__ = ["parts"]

CARD: dict[str, Any] = {
    "name": "mine",
    "control": "palette",
    "native_size": 128,
    "prompt_template": "photo of {classes}",
}


def test_beside_the_weights_then_above_the_subfolder(parts: Path) -> None:
    (parts / "trained").mkdir()
    (parts / "cn").rename(parts / "trained/model")
    given = TwoPartModel(base="base", controlnet="trained", subfolder="model")
    direct = TwoPartModel(base="base", controlnet="trained/model")
    (parts / "trained/card.json").write_text(json.dumps({**CARD, "name": "above"}))
    assert card_of(given, parts).name == "above"
    (parts / "trained/model/card.json").write_text(json.dumps(CARD))
    assert card_of(given, parts) == card_of(direct, parts) == read_card(parts / "trained/model")


def test_a_model_without_a_card_claims_nothing(parts: Path) -> None:
    card = card_of(TwoPartModel(base="base", controlnet="cn"), parts)
    assert (card.name, card.licence, card.training_data, card.categories) == ("cn", "unknown", (), None)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("photo {class}", "write {classes} where the classes are to stand"),
        ("photo of {classes} {", "write braces around {classes}, {scale} alone"),
        ("photo", "write {classes} where"),
        ("{classes.__class__}", "write {classes} where"),
    ],
)
def test_a_template_that_cannot_be_filled(tmp_path: Path, template: str, words: str) -> None:
    (tmp_path / "card.json").write_text(json.dumps({**CARD, "prompt_template": template}))
    with pytest.raises(ModelError, match=rf"card\.json: not a model card: prompt_template .*{re.escape(words)}"):
        read_card(tmp_path)


def test_every_fault_of_a_card_is_told(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps({**CARD, "control": "rgb", "native_size": -1}))
    with pytest.raises(ModelError, match=r"control .*; native_size .*greater than 0"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"steps": "x"}, r"steps Input should be a valid integer"),
        ({"steps": 10**9}, r"steps Input should be less than or equal to 1000"),
        ({"native_size": 10**9}, r"native_size Input should be less than or equal to 16384"),
        ({"guidance": float("nan")}, r"guidance Input should be less than or equal to 50"),
        ({"categories": "road"}, r"categories Input should be a valid array"),
        ({"training_data": "mine"}, r"training_data Input should be a valid array"),
        ({"licence": None}, r"licence Input should be a valid string"),
        ({"name": "x\x1b[31m"}, r"name String should match pattern"),
        ({"licence": "MIT\n## Forged"}, r"licence String should match pattern"),
        ({"scales": [[2, "town"], [1, "street"]]}, r"scales .*the bounds \[2.0, 1.0\] do not ascend; sort them"),
    ],
)
def test_a_value_that_a_card_may_not_have(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    (tmp_path / "card.json").write_text(json.dumps({**CARD, **given}))
    with pytest.raises(ModelError, match=rf"card\.json: not a model card: {words}"):
        read_card(tmp_path)


def test_a_card_saved_on_windows(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(CARD, indent=1).replace("\n", "\r\n").encode())
    card = read_card(tmp_path)
    assert card is not None and card.name == "mine"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/dev/zero", "no regular file, no model card; is it"),
        ("card.json", r"cannot be read \(Too many levels of symb"),
    ],
)
def test_a_card_that_is_no_file(tmp_path: Path, target: str, words: str) -> None:
    (tmp_path / "card.json").symlink_to(target)
    with pytest.raises(ModelError, match=words):
        read_card(tmp_path)


def prediction(folder: Path) -> None:
    settings(folder / "base/scheduler/scheduler_config.json", prediction_type="v_prediction")


def a_card(folder: Path) -> None:
    (folder / "cn/card.json").write_text(json.dumps(CARD))


def head_count(folder: Path) -> None:
    settings(folder / "base/unet/config.json", attention_head_dim=4)


def a_word(folder: Path) -> None:
    settings(folder / "base/tokenizer/tokenizer_config.json", do_lower_case=False)


def a_weight(folder: Path) -> None:
    path = folder / "base/vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file({**weights, "decoder.conv_in.bias": weights["decoder.conv_in.bias"] + 1}, path, metadata={"format": "pt"})


def an_added_word(folder: Path) -> None:
    (folder / "base/tokenizer/added_tokens.json").write_text('{"sea": 7}')


def a_word_that_ends_texts(folder: Path) -> None:
    (folder / "base/tokenizer/special_tokens_map.json").write_text('{"eos_token": "."}')


def rounding_of_steps(folder: Path) -> None:
    settings(folder / "base/scheduler/scheduler_config.json", steps_offset=0)


def scale_of_latents(folder: Path) -> None:
    settings(folder / "base/vae/config.json", scaling_factor=0.2)


def layers_of_the_text_encoder(folder: Path) -> None:
    settings(folder / "base/text_encoder/config.json", num_hidden_layers=1)


def order_of_colours(folder: Path) -> None:
    settings(folder / "cn/config.json", controlnet_conditioning_channel_order="bgr")


DECIDES = [
    prediction, a_card, head_count, a_word, a_weight, a_word_that_ends_texts, rounding_of_steps,
    scale_of_latents, layers_of_the_text_encoder, order_of_colours,
]  # fmt: skip


@pytest.mark.parametrize("change", DECIDES)
def test_what_decides_pixels_is_in_the_fingerprint(parts: Path, change: Callable[[Path], None]) -> None:
    before = dict(spec().identity(parts))
    change(parts)
    assert dict(spec().identity(parts)) != before


def test_an_added_word_is_in_the_fingerprint(parts: Path) -> None:
    old_tokenizer(parts)
    before = dict(spec().identity(parts))
    an_added_word(parts)
    assert dict(spec().identity(parts)) != before


def another_program(folder: Path) -> None:
    (folder / "base/safety_checker").mkdir()
    (folder / "base/safety_checker/model.safetensors").write_bytes(b"x")
    (folder / "base/unet/diffusion_pytorch_model.fp16.safetensors").write_bytes(b"x")


def another_version(folder: Path) -> None:
    settings(folder / "base/unet/config.json", _diffusers_version="9.9")


def another_class_in_the_index(folder: Path) -> None:
    settings(folder / "base/model_index.json", safety_checker=["a", "b"], feature_extractor=["a", "b"])


def another_precision_noted(folder: Path) -> None:
    settings(folder / "base/text_encoder/config.json", dtype="float16")


@pytest.mark.parametrize(
    "change", [another_program, another_version, another_class_in_the_index, another_precision_noted]
)
def test_what_is_not_loaded_decides_nothing(parts: Path, change: Callable[[Path], None]) -> None:
    before = dict(spec().identity(parts))
    change(parts)
    assert dict(spec().identity(parts)) == before


def test_a_precision_that_is_noted_decides_no_pixel(parts: Path) -> None:
    plain = image_of(spec(), parts)
    another_precision_noted(parts)
    assert np.array_equal(image_of(spec(), parts), plain)


def test_what_an_empty_prompt_is_to_xl_is_in_the_fingerprint(tmp_path: Path) -> None:
    made = make_xl_pipeline(tmp_path / "words")
    made.save_pretrained(tmp_path / "xl")
    files = ModelFiles(tmp_path / "xl", tmp_path / "xl/controlnet")
    before = files.hashes()
    settings(tmp_path / "xl/model_index.json", force_zeros_for_empty_prompt=False)
    changed = files.hashes()
    assert [name for name in before if before[name] != changed[name]] == ["base/empty prompt"]


def test_steps_left_out_are_the_cards_and_in_the_fingerprint(parts: Path) -> None:
    given = ControlNetSpec.model_validate({"model": {"base": "base", "controlnet": "cn"}})
    assert given.identity(parts)["sampling"] == "20 steps, guidance 7.5, scheduler unipc"
    (parts / "cn/card.json").write_text(json.dumps({**CARD, "steps": 4, "guidance": 1, "scheduler": "ddim"}))
    assert given.identity(parts)["sampling"] == "4 steps, guidance 1, scheduler ddim"


def overflow(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**weights, "conv_out.weight": torch.full_like(weights["conv_out.weight"], 3e38)}


def test_numbers_that_overflow_stop_the_build(parts: Path) -> None:
    """Finite weights, so that only the image tells."""
    path = parts / "base/unet/diffusion_pytorch_model.safetensors"
    save_file(overflow(load_file(path)), path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"the model gives no numbers \(NaN\) in float32, with image seed 7; mend"):
        image_of(spec(), parts)


def test_a_flat_colour_stops_the_build(parts: Path) -> None:
    path = parts / "base/vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    save_file(
        {**weights, "decoder.conv_out.weight": weights["decoder.conv_out.weight"] * 0}, path, metadata={"format": "pt"}
    )
    with pytest.raises(ModelError, match="the model draws one flat colour, with image seed 7"):
        image_of(spec(), parts)


def test_lost_parts_of_a_prompt_are_named(tmp_path: Path) -> None:
    tokenizer = make_pipeline(tmp_path).tokenizer  # a token a letter
    tokenizer.model_max_length = 16
    assert lost_words(tokenizer, "a road, a ship") == []
    assert lost_words(tokenizer, "A Road, a ship, storage tank, lake") == ["storage tank", "lake"]


def test_a_cut_prompt_is_noted(parts: Path) -> None:
    from earthsynth_factory.domain.taxonomy import earthsynth
    from tests.synthesis.test_controlnet import condition

    generator = spec().build(StageContext(earthsynth(), (), parts, "cpu"))
    generator.open()
    assert list(generator.notes()) == []
    generator.generate([condition(4, "A satellite image of road, " + "water " * 20 + ", ship")], [1])
    assert generator.notes()[-1] == "cut off, the model reads 77 tokens of a prompt: 'ship'"
    assert np.all([note.startswith("cut off") for note in generator.notes()])
