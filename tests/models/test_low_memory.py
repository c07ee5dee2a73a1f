"""Attention in slices and networks by turns: the image stays what it was, and what cannot work is refused."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import SlicedAttnProcessor
from torch import nn

from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.loading import load_pipe
from earthsynth_factory.models.low_memory import PARTS, Turns, slice_attention
from earthsynth_factory.models.registry import ModelFiles
from earthsynth_factory.recipe.fingerprint import decisive
from earthsynth_factory.synthesis.controlnet import ControlNetGenerator, ControlNetSpec
from tests.models import ip_adapters


def opened(folder: Path, device: str = "cpu", **knobs: Any) -> ControlNetGenerator:
    given = {"model": str(folder), "steps": 2, "batch": 2, "precision": "float32", "compile": False, **knobs}
    generator = ControlNetSpec.model_validate(given).build(StageContext(earthsynth(), (), Path(), device))
    generator.open()
    return generator


def image_of(generator: ControlNetGenerator) -> np.ndarray[Any, Any]:
    mask = np.zeros((32, 32), np.uint8)
    mask[8:16] = 4
    one = Condition(mask, np.zeros_like(mask, np.uint16), "a road", 0.5, 1, Origin("test", "test"))
    return generator.generate([one], [7])[0].astype(int)


@pytest.fixture(scope="module")
def style(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An IP-Adapter's block of a recipe."""
    folder = tmp_path_factory.mktemp("style")
    unet = load_pipe(ModelFiles(tiny_pipeline, tiny_pipeline / "controlnet").inspect()).unet
    adapter = ip_adapters.save_adapter(unet, folder / "ip.safetensors", plus=False)
    ip_adapters.save_encoder(folder / "image_encoder")
    return {"adapter": str(adapter), "images": str(ip_adapters.save_pictures(folder / "pictures", 1)), "weight": 0.7}


@pytest.mark.parametrize("styled", [False, True])
def test_slices_change_no_more_than_rounding(tiny_pipeline: Path, style: dict[str, Any], styled: bool) -> None:
    """An IP-Adapter's own attention stays in its place."""
    more = {"style": style} if styled else {}
    sliced = opened(tiny_pipeline, attention_slicing=True, **more)
    assert any(isinstance(one, SlicedAttnProcessor) for one in sliced._pipeline.pipe.unet.attn_processors.values())
    assert np.abs(image_of(sliced) - image_of(opened(tiny_pipeline, **more))).max() <= 1
    assert sliced.describe()["attention_slicing"] is True


def test_every_network_that_looks_at_itself_is_sliced(tiny_pipeline: Path) -> None:
    both = ModelFiles(tiny_pipeline, tiny_pipeline / "controlnet", more=(tiny_pipeline / "controlnet",))
    pipe = load_pipe(both.inspect())
    slice_attention(pipe)
    for network in (pipe.unet, *pipe.controlnet.nets, pipe.vae):
        own = [one for name, one in network.attn_processors.items() if "attn2" not in name]
        assert own and all(isinstance(one, SlicedAttnProcessor) for one in own)


@pytest.mark.parametrize("several", [False, True])
def test_each_network_is_there_in_its_turn_alone(
    tiny_pipeline: Path, style: dict[str, Any], several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU nothing moves, so that moves are noted instead; a network that works must be on the device."""
    more = {"controls": [{"controlnet": str(tiny_pipeline / "controlnet")}]} if several else {"style": style}
    generator = opened(tiny_pipeline, **more)
    wanted = image_of(generator)
    pipe, there, worked = generator._pipeline.pipe, dict[int, bool](), list[str]()
    names = [(turn, getattr(pipe, name)) for turn, part in PARTS.items() for name in part if getattr(pipe, name, None)]
    for turn, network in names:
        watched = [network.encoder, network.decoder] if turn == "pixels" else getattr(network, "nets", [network])
        for one in watched:
            one.register_forward_pre_hook(lambda *_, it=network, turn=turn: worked.append(f"{turn} {there[id(it)]}"))
    monkeypatch.setattr(nn.Module, "to", lambda self, place, *_: there.update({id(self): place == "the device"}))
    generator._pipeline.turns = Turns(pipe, "the device")  # type: ignore[arg-type]
    assert np.array_equal(image_of(generator), wanted)
    assert list(dict.fromkeys(worked)) == ["denoising True", "pixels True"], "the words are remembered"
    assert sum(there.values()) == 1, "the autoencoder alone is left there"


def test_words_are_read_in_their_turn(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator, there = opened(tiny_pipeline), list[bool]()
    text, turns = generator._pipeline.pipe.text_encoder, list[str]()
    monkeypatch.setattr(Turns, "begin", lambda self, turn: turns.append(turn))
    generator._pipeline.turns = Turns(generator._pipeline.pipe, torch.device("cpu"))
    text.register_forward_pre_hook(lambda *_: there.append(turns[-1] == "words"))
    image_of(generator)
    assert there and all(there)
    assert turns == ["words", "denoising", "pixels"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"offload": True}, r"offload: parts wait in the machine's memory while a GPU works, and the device is cpu"),
        ({"offload": True, "compile": True}, r"`offload` is for networks that are not compiled"),
        ({"attention_slicing": True, "compile": True}, r"`attention_slicing` is for networks that are not compiled"),
    ],
)
def test_what_cannot_work_is_refused(tiny_pipeline: Path, given: Mapping[str, Any], words: str) -> None:
    with pytest.raises((ModelError, ValueError), match=words):
        opened(tiny_pipeline, **given)


def test_what_changes_no_pixel_is_not_in_the_fingerprint() -> None:
    plain = decisive(ControlNetSpec())
    assert decisive(ControlNetSpec(offload=True)) == plain
    assert decisive(ControlNetSpec(attention_slicing=True)) == {**plain, "attention_slicing": True}


@pytest.mark.gpu
def test_turns_on_a_gpu_give_the_same_image_in_less_memory(tiny_pipeline: Path) -> None:
    images, peaks = [], []
    for offload in (False, True):
        gc.collect()  # the generator before, so that its weights are not counted
        torch.cuda.empty_cache()
        generator = opened(tiny_pipeline, "cuda", offload=offload)
        images.append(image_of(generator))
        torch.cuda.reset_peak_memory_stats()
        assert np.array_equal(image_of(generator), images[0])
        peaks.append(torch.cuda.max_memory_allocated())
        del generator
    assert peaks[1] < peaks[0]
