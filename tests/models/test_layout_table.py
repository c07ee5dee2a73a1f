"""The tables of the room's README, row by row: what it says loads has its tests, what it says is refused says those words."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.registry import ModelFiles, files_of
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from tests.models import test_cards as cards
from tests.models import test_hub as hub
from tests.models import test_layouts as layouts
from tests.models import test_like_diffusers as like_diffusers
from tests.models import test_lora as lora
from tests.models.loras import peft, random_halves
from tests.models.test_layouts import parts, settings, spec
from tests.synthesis import test_beside as beside
from tests.tiny_models import make_pipeline

__all__ = ["parts"]

README = Path(__file__).parents[2] / "earthsynth_factory/models/README.md"

Case = Callable[[Path, Path], Any]
"""What raises the error, given a folder with `base` and `cn`, and a whole pipeline's folder."""


def looked_at(*changes: Callable[[Path], None]) -> list[Case]:
    return [lambda folder, _, change=change: (change(folder), spec().check(folder, (32, 32))) for change in changes]


def loaded(*changes: Callable[[Path], None]) -> list[Case]:
    def case(folder: Path, change: Callable[[Path], None]) -> None:
        change(folder)
        spec().build(StageContext(earthsynth(), (), folder, "cpu")).open()

    return [lambda folder, _, change=change: case(folder, change) for change in changes]


def rewritten(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], image: bool = False) -> Case:
    """The UNet's weights changed. image: only an image tells."""

    def case(folder: Path, _: Path) -> None:
        layouts.rewrite(folder / f"base/unet/{layouts.WEIGHTS}", change)
        if image:
            layouts.image_of(spec(), folder)
        loaded(lambda _: None)[0](folder, folder)

    return case


def with_lora(*changes: Callable[[Any], Any]) -> list[Case]:
    def case(folder: Path, pipeline: Path, change: Callable[[Any], Any]) -> None:
        path = peft(random_halves(make_pipeline(folder / "words")), folder / "lora.safetensors")
        save_file(change(load_file(path)), path)
        ModelFiles(pipeline, pipeline / "controlnet", loras=((path, "mine", 1.0),)).inspect()

    return [lambda folder, pipeline, change=change: case(folder, pipeline, change) for change in changes]


def standing_beside(*given: Callable[[Path], dict[str, Any]]) -> list[Case]:
    return [
        lambda folder, pipeline, one=one: beside.spec(pipeline, **one(folder)).check(folder, (32, 32)) for one in given
    ]


def called(**model: str) -> Case:
    def case(folder: Path, _: Path) -> None:
        (folder / "v1-5.ckpt").write_bytes(b"")
        spec(**model).check(folder, (32, 32))

    return case


def one_file(kind: str) -> Case:
    def case(folder: Path, _: Path) -> None:
        unet = "model.diffusion_model.input_blocks.0.0.weight"
        save_file({kind: torch.zeros(1), unet: torch.zeros(1)}, folder / "one.safetensors")
        spec(base="one.safetensors").check(folder, (32, 32))

    return case


def card(**values: Any) -> Case:
    def case(folder: Path, _: Path) -> None:
        (folder / "cn/card.json").write_text(cards.json.dumps({**cards.CARD, **values}))
        spec().check(folder, (32, 32))

    return case


def flow_matching(folder: Path, _: Path) -> None:
    ControlNetSpec.model_validate({"model": "embedded", "scheduler": "euler"}).check(folder, (128, 128))


def two_controlnets(folder: Path, pipeline: Path) -> None:
    shutil.copytree(pipeline, folder / "model")
    shutil.copytree(pipeline / "controlnet", folder / "model/controlnet_1")
    files_of("model", folder)


def not_readable(folder: Path, _: Path) -> None:
    real = os.open
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "open", lambda path, *more: _refuse() if "cn/" in str(path) else real(path, *more))
        spec().check(folder, (32, 32))


def _refuse() -> None:
    raise PermissionError(13, "Permission denied")


def fewer_layers(folder: Path) -> None:
    settings(folder / "cn/config.json", layers_per_block=1)


def latents_of_eight(folder: Path) -> None:
    settings(folder / "cn/config.json", in_channels=8)


def infinite(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**weights, "conv_out.bias": torch.full_like(weights["conv_out.bias"], float("inf"))}


REFUSED: dict[str, Sequence[Case]] = {
    "Stable Diffusion 3, Flux and others": looked_at(layouts.flux, layouts.stable_diffusion_3),
    "Stable Diffusion XL or 2.x in one file": [one_file("conditioner.x"), one_file("cond_stage_model.model.x")],
    "Stable Diffusion XL without": looked_at(
        layouts.xl_without_its_second_text_encoder,
        layouts.xl_unet_alone,
        layouts.second_text_encoder_of_no_use,
        layouts.xl_refiner,
    ),
    "inpainting": looked_at(layouts.inpainting),
    "text encoder, tokenizer": [
        *looked_at(layouts.text_of_another_model, layouts.more_words_than_the_text_encoder_has, layouts.t5),
        *looked_at(layouts.words_that_were_added),
        *loaded(layouts.words_that_begin_and_end_a_text),
    ],
    "a tokenizer": [
        *looked_at(layouts.no_merges, layouts.words_without_numbers),
        *loaded(layouts.no_room_for_a_word),
    ],
    "a ControlNet of another family": looked_at(
        layouts.other_text_width, layouts.wider, layouts.xl_controlnet, fewer_layers, latents_of_eight
    ),
    "a ControlNet of another control image": looked_at(
        layouts.four_channels, layouts.other_stem, layouts.for_the_style_of_pictures
    ),
    "a UNet": looked_at(layouts.unet_for_controlnet, layouts.no_config),
    "two ControlNets": [two_controlnets],
    "a LoRA of another family": with_lora(lora.of_another_family, lora.of_another_width, lora.of_flux),
    "LoHa": [*with_lora(lora.loha, lora.dora), *standing_beside(beside.style_for_a_lora)],
    "a LoRA that is": with_lora(lora.half_gone, lora.halves_that_do_not_meet, lora.quantised, lora.no_lora),
    "an autoencoder of another family": [
        *standing_beside(beside.other_latents, beside.other_scaling, beside.other_factor),
        *looked_at(layouts.moved_latents),
    ],
    "an IP-Adapter of another family": standing_beside(
        beside.style_of_another_family, beside.style_of_another_encoder, beside.style_for_faces,
        beside.style_without_pictures,
    ),
    "`.bin`": [called(base="v1-5.ckpt"), *looked_at(layouts.pickled)],
    "a name that is": [called(base="models/sd/v15"), called(base="~nosuchuser/x"), *looked_at(layouts.folder_in_a_circle)],
    "weights missing": [
        *map(rewritten, (layouts.some_missing, layouts.one_left_over, layouts.not_numbers, infinite)),
        *loaded(layouts.of_another_shape),
        *looked_at(layouts.whole_numbers, layouts.quantised_by_settings),
    ],
    "files cut short": [
        *looked_at(layouts.folder_that_is_a_dangling_link, layouts.words_behind_a_dangling_link),
        *looked_at(layouts.shards_without_their_index),
        *looked_at(layouts.cut_short, layouts.dangling, layouts.pointer, layouts.shard_missing, layouts.shard_outside),
        *looked_at(layouts.empty_file, layouts.header_longer_than_the_file, layouts.header_that_lies),
        not_readable,
    ],
    "pipes": looked_at(layouts.never_ending, layouts.pipe_for_weights, layouts.links_in_a_circle),
    "settings": [
        *looked_at(layouts.settings_of_another_type, layouts.no_json, layouts.no_scheduler, layouts.heads_of_none),
        *looked_at(layouts.channels_in_no_order, layouts.pipeline_without_a_name, layouts.noise_beyond_all),
        *looked_at(layouts.settings_of_words_that_are_a_list),
        *loaded(layouts.heads_that_do_not_share),
    ],
    "a card": [card(steps="x"), card(prompt_template="photo"), card(scales=[[2, "a"], [1, "b"]])],
    "a sampler that the model cannot run": [
        flow_matching,
        *standing_beside(beside.steps_beyond_lcm),
        *loaded(layouts.sampler_of_nobody, layouts.sampler_that_is_none, layouts.sampler_without_steps),
        *loaded(layouts.sampler_of_another_loop, layouts.strange_betas, layouts.strange_spacing),
        *looked_at(layouts.noise_levels_without_end, layouts.noise_levels_of_another_model, layouts.prediction_of_nobody),
    ],
    "images that are NaN": [rewritten(cards.overflow, image=True)],
}  # fmt: skip

LOADS: dict[str, tuple[ModuleType, str]] = {
    "diffusers' folders": (like_diffusers, "test_stable_diffusion_xl"),
    "Stable Diffusion 2.1": (like_diffusers, "test_models_that_predict_velocity"),
    "sharded": (layouts, "shards"),
    "files of one precision": (layouts, "fp16_names"),
    "one file in the original layout": (
        layouts,
        "test_single_files_of_the_original_layout_give_the_image_of_the_folders",
    ),
    "the hub's cache": (hub, "test_a_part_of_the_cache_is_completed"),
    "a distilled UNet": (like_diffusers, "test_a_unet_that_takes_the_guidance_as_an_input"),
    "LoRAs of diffusers": (lora, "test_every_spelling_comes_to_the_same_weights"),
    "an autoencoder by itself": (like_diffusers, "test_an_autoencoder_of_ones_own"),
}


def table(heading: str) -> dict[str, str]:
    """First cell → second cell of the rows under a header line that begins so."""
    lines = README.read_text().split(f"\n| {heading} |", 1)[1].splitlines()[2:]
    rows = [line for line in lines[: lines.index("")] if line.startswith("|")]
    return {cells[0]: cells[1] for cells in ([cell.strip() for cell in row.strip("|").split(" | ", 1)] for row in rows)}


def pattern(words: str) -> str:
    """Numbers are examples, and … stands for anything."""
    parts = (r"[\d.]+".join(map(re.escape, re.split(r"\d[\d.]*", part))) for part in words.split("…"))
    return ".*".join(parts)


def row_of(start: str, rows: dict[str, str]) -> str:
    [found] = [first for first in rows if first.startswith(start)]
    return found


@pytest.mark.parametrize("start", REFUSED)
def test_a_row_of_what_is_refused(parts: Path, tiny_pipeline: Path, start: str) -> None:
    """Each of its words is said by a layout of the row, and each layout says one of them."""
    rows = table("refused")
    wanted = re.findall(r"`([^`]+)`", rows[row_of(start, rows)])
    said: list[str] = []
    for number, case in enumerate(REFUSED[start]):
        shutil.copytree(parts, parts.with_name(f"{parts.name}-{number}"), symlinks=True)
        with pytest.raises(ModelError) as caught:
            case(parts.with_name(f"{parts.name}-{number}"), tiny_pipeline)
        said.append(" ".join(str(caught.value).splitlines()))
    assert not [words for words in wanted if not any(re.search(pattern(words), one) for one in said)], said
    assert not [one for one in said if not any(re.search(pattern(words), one) for words in wanted)], wanted


def test_every_row_has_its_layouts_and_every_layout_its_row() -> None:
    rows = table("refused")
    assert {row_of(start, rows) for start in REFUSED} == set(rows)
    assert len(REFUSED) == len(rows)
    loading = table("layout")
    assert {row_of(start, loading) for start in LOADS} == set(loading)
    assert not [name for module, name in LOADS.values() if not hasattr(module, name)]
    text = Path(__file__).read_text()
    listed = [change.__name__ for change, _ in (*layouts.REFUSED, *layouts.LATER)]
    assert not [name for name in listed if f"layouts.{name}" not in text]
