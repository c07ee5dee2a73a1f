"""The ControlNet generator on pipelines saved in the hub's layout: what decides an image, and what loading says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import ModelError
from earthsynth_factory.synthesis.controlnet import ControlNetGenerator, ControlNetSpec, cpu_batch


def condition(category: int, prompt: str = "A satellite image of road", side: int = 32) -> Condition:
    mask = np.zeros((side, side), np.uint8)
    mask[side // 4 : side // 2] = category
    return Condition(
        mask, np.zeros_like(mask, np.uint16), prompt, 0.5, 1, Origin("test", "test"), known_instances=False
    )


def opened(folder: Path, **knobs: object) -> ControlNetGenerator:
    spec = ControlNetSpec.model_validate({"kind": "controlnet", "model": str(folder), "steps": 2, "batch": 4, **knobs})
    generator = spec.build(StageContext(earthsynth(), (), Path(), "cpu"))
    generator.open()
    return generator


@pytest.fixture(scope="module")
def generator(tiny_pipeline: Path) -> ControlNetGenerator:
    return opened(tiny_pipeline)


def test_a_cpu_takes_many_small_images_at_once_and_few_large_ones() -> None:
    assert [cpu_batch(side) for side in (64, 128, 256, 512, 1024, 4096)] == [16, 16, 16, 4, 1, 1]


def test_an_image_does_not_depend_on_its_batch_mates(generator: ControlNetGenerator) -> None:
    mine = condition(4)
    alone = generator.generate([mine], [7])[0]
    among = generator.generate([condition(6), condition(8), mine, condition(1)], [1, 2, 7, 3])[2]
    beyond = generator.generate([condition(6)] * 5 + [mine], [1, 2, 3, 4, 5, 7])[5]
    assert alone.shape == (32, 32, 3)
    assert np.array_equal(alone, among)
    assert np.array_equal(alone, beyond)


def test_mask_prompt_and_seed_each_matter(generator: ControlNetGenerator) -> None:
    base = generator.generate([condition(4)], [7])[0]
    others = [(condition(60), 7), (condition(4, "A satellite image of ship"), 7), (condition(4), 8)]
    for other, seed in others:
        assert not np.array_equal(generator.generate([other], [seed])[0], base)


def test_oblong_images(generator: ControlNetGenerator) -> None:
    wide = condition(4, side=64)
    cut = Condition(wide.mask[:32], wide.instances[:32], wide.prompt, 0.5, 1, wide.origin, known_instances=False)
    assert generator.generate([cut], [1])[0].shape == (32, 64, 3)


@pytest.mark.parametrize("scheduler", ["model", "unipc", "dpm++-sde", "euler-a", "lcm"])
def test_every_scheduler_runs(tiny_pipeline: Path, scheduler: str) -> None:
    image = opened(tiny_pipeline, scheduler=scheduler, guidance=1.0).generate([condition(4)], [1])[0]
    assert image.std() > 0


def test_controlnet_apart_from_its_base(tiny_pipeline: Path, tmp_path: Path) -> None:
    """The layout of the released weights: the ControlNet in a subfolder of another repository."""
    shutil.copytree(tiny_pipeline / "controlnet", tmp_path / "EarthSynth/controlnet")
    apart = {"base": str(tiny_pipeline), "controlnet": str(tmp_path / "EarthSynth"), "subfolder": "controlnet"}
    spec = ControlNetSpec.model_validate({"model": apart, "steps": 2, "batch": 4})
    generator = spec.build(StageContext(earthsynth(), (), Path(), "cpu"))
    generator.open()
    whole = opened(tiny_pipeline)
    assert np.array_equal(generator.generate([condition(4)], [7])[0], whole.generate([condition(4)], [7])[0])
    assert any(name.startswith("controlnet/") for name in spec.identity(Path()))


def test_raw_ids_control_image_is_what_the_released_weights_were_trained_on() -> None:
    """EarthSynth's demo mask: storage tanks are (25, 25, 25) of 255."""
    from earthsynth_factory.models.control_image import control_images, control_lut
    from earthsynth_factory.models.registry import EARTHSYNTH_CARD

    image = control_images([np.full((8, 8), 25, np.uint8)], control_lut(EARTHSYNTH_CARD, earthsynth()))
    assert image.shape == (1, 3, 8, 8)
    assert np.allclose(image.numpy(), 25 / 255)


def test_without_network_and_cache_both_remedies_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError) as caught:
        ControlNetSpec(model="earthsynth").identity(Path())
    message = str(caught.value)
    assert "hf download stable-diffusion-v1-5/stable-diffusion-v1-5" in message
    assert "model: embedded" in message


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(
        ModelError, match=r"model .no/such.: no such folder: .*no/such .paths start at the recipe's.; write `earth"
    ):
        ControlNetSpec(model="no/such").card(Path())


def test_pickled_weights_are_refused(tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pipeline, tmp_path / "pickled")
    for weights in (tmp_path / "pickled").rglob("*.safetensors"):
        weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelError, match="no safetensors weights here"):
        ControlNetSpec(model=str(tmp_path / "pickled")).identity(Path())
    with pytest.raises(ModelError, match="no safetensors weights here"):
        opened(tmp_path / "pickled")


def test_damaged_weights_are_named(tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pipeline, tmp_path / "torn")
    weights = tmp_path / "torn/unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(
        ModelError, match=r"torn/unet/diffusion_pytorch_model\.safetensors: no safetensors file, or cut short"
    ):
        opened(tmp_path / "torn")


@pytest.mark.parametrize("of_a_gpu", [True, False])
def test_out_of_memory_halves_the_batch(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch, of_a_gpu: bool) -> None:
    import torch

    told = (
        "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."
    )
    lack = torch.cuda.OutOfMemoryError("out of memory") if of_a_gpu else RuntimeError(told)
    generator = opened(tiny_pipeline)
    pipeline = generator._pipeline
    expected = generator.generate([condition(4)] * 3, [1, 2, 3])
    real = pipeline._one_batch

    def scarce(asked: object) -> object:
        if pipeline.batch > 2:
            raise lack
        return real(asked)

    monkeypatch.setattr(pipeline, "_one_batch", scarce)
    images = generator.generate([condition(4)] * 3, [1, 2, 3])
    assert generator.describe()["batch"] == 2
    assert generator.describe()["notes"] == ["out of memory on cpu: batch reduced to 2"]
    assert len(images) == 3
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(images, expected, strict=True))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_full_size_random_weights(tmp_path: Path) -> None:
    """Stable Diffusion 1.5's true sizes through the same code: 5 GB on disk, 10 GB of memory, two minutes of one core."""
    from tests.tiny_models import SD15, save_pipeline

    save_pipeline(tmp_path / "sd15", SD15)
    image = opened(tmp_path / "sd15", steps=1, batch=1, guidance=1.0).generate([condition(25, side=128)], [1])[0]
    assert image.shape == (128, 128, 3)


def test_guidance_and_control_that_end_early_draw_another_image_and_are_recorded(tiny_pipeline: Path) -> None:
    plain = opened(tiny_pipeline, steps=4)
    for knob in ("guidance_end", "control_end"):
        early = opened(tiny_pipeline, steps=4, **{knob: 0.5})
        assert not np.array_equal(early.generate([condition(4)], [7])[0], plain.generate([condition(4)], [7])[0])
        assert early.describe()[knob] == 0.5
        assert knob not in plain.describe()
