"""What a recipe puts beside a model: drawn alike every time, recorded, part of the fingerprint, refused with words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from earthsynth_factory.domain.condition import Condition, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.control_image import edge_images, height_lut
from earthsynth_factory.synthesis.controlnet import ControlNetGenerator, ControlNetSpec
from tests.models import ip_adapters
from tests.models.loras import peft, random_halves
from tests.tiny_models import TINY, make_pipeline


@pytest.fixture(scope="module")
def beside(tiny_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Keys of a recipe, each with something beside the tiny model."""
    folder = tmp_path_factory.mktemp("beside")
    pipe = make_pipeline(folder / "words")
    peft(random_halves(pipe), folder / "mine.safetensors")
    torch.manual_seed(8)
    AutoencoderKL(**TINY["vae"]).save_pretrained(folder / "vae")
    control = str(tiny_pipeline / "controlnet")
    ip_adapters.save_adapter(pipe.unet, folder / "ip.safetensors")
    ip_adapters.save_encoder(folder / "image_encoder")
    return {
        "style": {
            "adapter": str(folder / "ip.safetensors"),
            "images": str(ip_adapters.save_pictures(folder / "looks", 3)),
        },
        "loras": [{"path": str(folder / "mine.safetensors"), "weight": 0.5}],
        "vae": str(folder / "vae"),
        "controls": [
            {"controlnet": control, "shows": "edges", "weight": 0.6, "end": 0.5},
            {"controlnet": control, "shows": "depth", "heights": {"building": 12, "tree": 6}},
        ],
        "negative_prompt": "blurry",
        "scheduler": "lcm",
    }


def spec(folder: Path, **knobs: Any) -> ControlNetSpec:
    return ControlNetSpec.model_validate(
        {"model": str(folder), "steps": 4, "guidance": 3.0, "batch": 2, "precision": "float32", **knobs}
    )


def opened(given: ControlNetSpec) -> ControlNetGenerator:
    generator = given.build(StageContext(earthsynth(), (), Path(), "cpu"))
    generator.open()
    return generator


def condition(**more: Any) -> Condition:
    mask, instances = np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint16)
    mask[8:16] = 4
    mask[20:28, 4:12], instances[20:28, 4:12] = 21, 1
    return Condition(mask, instances, "a road", 0.5, 1, Origin("test", "test"), **more)


@pytest.mark.parametrize("key", ["loras", "vae", "controls", "style", "negative_prompt", "scheduler"])
def test_it_acts_alike_every_time_and_is_recorded(tiny_pipeline: Path, beside: Mapping[str, Any], key: str) -> None:
    given, plain = spec(tiny_pipeline, **{key: beside[key]}), spec(tiny_pipeline)
    one, again, without = opened(given), opened(given), opened(plain)
    images = [one.generate([condition()], [7])[0], again.generate([condition(), condition()], [3, 7])[1]]
    assert np.array_equal(*images), "of another process and another batch"
    assert not np.array_equal(images[0], without.generate([condition()], [7])[0])
    assert one.describe()[key] != without.describe().get(key)
    if key != "negative_prompt":  # which is in the recipe's own part of the fingerprint
        assert given.identity(Path()) != plain.identity(Path())


def test_a_condition_has_a_negative_prompt_of_its_own(tiny_pipeline: Path) -> None:
    generator = opened(spec(tiny_pipeline))
    images = generator.generate([condition(), condition(negative_prompt="boats"), condition()], [7, 7, 7])
    assert np.array_equal(images[0], images[2])
    assert not np.array_equal(images[0], images[1])
    away = opened(spec(tiny_pipeline, negative_prompt="boats"))
    assert np.array_equal(away.generate([condition()], [7])[0], images[1])


def test_what_is_not_loaded_decides_nothing_and_what_is_does(tiny_pipeline: Path, beside: Mapping[str, Any]) -> None:
    given = spec(tiny_pipeline, loras=beside["loras"])
    before = given.identity(Path())
    file = Path(beside["loras"][0]["path"])
    (file.parent / "other.safetensors").write_bytes(b"not read")
    assert given.identity(Path()) == before
    kept = file.read_bytes()
    try:
        pipe = make_pipeline(file.parent / "words")
        peft(random_halves(pipe, ("unet",)), file)
        assert given.identity(Path()) != before
    finally:
        file.write_bytes(kept)


def test_few_step_samplers_bring_their_steps(tiny_pipeline: Path) -> None:
    silent = ControlNetSpec.model_validate({"model": str(tiny_pipeline), "scheduler": "lcm"})
    assert silent.sampled(silent.card(Path())) == (4, 1.0, "lcm")
    asked = silent.model_copy(update={"steps": 8, "guidance": 1.5})
    assert asked.sampled(asked.card(Path())) == (8, 1.5, "lcm")
    card = silent.card(Path()).model_copy(update={"scheduler": "lcm", "steps": 6, "guidance": 1.2})
    assert silent.sampled(card) == (6, 1.2, "lcm"), "a card that was written for it is right"
    assert dict(silent.doubts(Path()))["scheduler"].startswith("lcm draws in few steps with weights distilled for it")


def test_every_image_draws_a_picture_of_its_own(tiny_pipeline: Path, beside: Mapping[str, Any]) -> None:
    from earthsynth_factory.models.style_images import StyleImages

    given = spec(tiny_pipeline, style=beside["style"])
    pipeline = opened(given)._pipeline
    assert isinstance(pipeline._styles, StyleImages)
    shown, nothing = pipeline._styles(range(12))
    assert len({tuple(one.flatten().tolist()) for one in shown}) == 3
    assert not nothing.any()


def test_a_lora_takes_the_doubt(tiny_pipeline: Path, beside: Mapping[str, Any]) -> None:
    given = ControlNetSpec.model_validate({"model": str(tiny_pipeline), "scheduler": "lcm", "loras": beside["loras"]})
    assert not list(given.doubts(Path()))


def other_latents(folder: Path) -> dict[str, Any]:
    AutoencoderKL(**{**TINY["vae"], "latent_channels": 8}).save_pretrained(folder / "vae")
    return {"vae": str(folder / "vae")}


def other_factor(folder: Path) -> dict[str, Any]:
    small = {"block_out_channels": (8, 8), "down_block_types": ("DownEncoderBlock2D",) * 2}
    AutoencoderKL(**{**TINY["vae"], **small, "up_block_types": ("UpDecoderBlock2D",) * 2}).save_pretrained(
        folder / "vae"
    )
    return {"vae": str(folder / "vae")}


def other_scaling(folder: Path) -> dict[str, Any]:
    AutoencoderKL(**TINY["vae"], scaling_factor=0.13025).save_pretrained(folder / "vae")
    return {"vae": str(folder / "vae")}


def no_vae(folder: Path) -> dict[str, Any]:
    (folder / "vae").mkdir()
    return {"vae": str(folder / "vae")}


def styled(folder: Path, **more: Any) -> dict[str, Any]:
    ip_adapters.save_adapter(make_pipeline(folder / "words").unet, folder / "ip.safetensors")
    ip_adapters.save_encoder(folder / "image_encoder")
    ip_adapters.save_pictures(folder / "looks", 1)
    return {"style": {"adapter": str(folder / "ip.safetensors"), "images": "looks", **more}}


def style_without_encoder(folder: Path) -> dict[str, Any]:
    return styled(folder, encoder="not/there")


def style_of_another_encoder(folder: Path) -> dict[str, Any]:
    given = styled(folder)
    path = folder / "image_encoder/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "projection_dim": 7}))
    return given


def changed(folder: Path, change: Callable[[str, torch.Tensor], tuple[str, torch.Tensor]]) -> dict[str, Any]:
    given = styled(folder)
    weights = load_file(folder / "ip.safetensors")
    save_file(dict(change(name, one) for name, one in weights.items()), folder / "ip.safetensors")
    return given


def style_of_another_family(folder: Path) -> dict[str, Any]:
    return changed(folder, lambda name, one: (name, torch.cat([one, one], 1) if "_ip." in name else one))


def style_for_faces(folder: Path) -> dict[str, Any]:
    return changed(folder, lambda name, one: (name.replace("proj.weight", "proj.3.weight"), one))


def style_that_is_a_lora(folder: Path) -> dict[str, Any]:
    return changed(folder, lambda name, one: (name.replace("ip_adapter.", "lora."), one))


def style_without_pictures(folder: Path) -> dict[str, Any]:
    given = styled(folder)
    (folder / "looks/0.png").unlink()
    return given


def style_for_a_lora(folder: Path) -> dict[str, Any]:
    styled(folder)
    return {"loras": [{"path": str(folder / "ip.safetensors")}]}


def several_loras(folder: Path) -> dict[str, Any]:
    for name in ("a", "b"):
        (folder / f"{name}.safetensors").write_bytes(b"")
    return {"loras": [{"path": str(folder)}]}


def pickled_lora(folder: Path) -> dict[str, Any]:
    (folder / "lora.bin").write_bytes(b"")
    return {"loras": [{"path": str(folder / "lora.bin")}]}


def lora_outside(folder: Path) -> dict[str, Any]:
    return {"loras": [{"path": str(folder), "file": "../x.safetensors"}]}


def missing_lora(folder: Path) -> dict[str, Any]:
    return {"loras": [{"path": "loras/of/mine.safetensors"}]}


def steps_beyond_lcm(folder: Path) -> dict[str, Any]:
    return {"scheduler": "lcm", "steps": 60}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (other_latents, r"vae: latents of 8 channels, those of .*pipeline/vae 4; take an autoencoder of this family"),
        (other_factor, r"vae: latents 2 × smaller than the image, those of .*pipeline/vae 8; take"),
        (other_scaling, r"vae: latents scaled by 0.13025, those of .*pipeline/vae 0.18215; take"),
        (no_vae, r"vae: config.json is missing; no autoencoder here"),
        (style_without_encoder, r"not/there: config.json is missing; no image encoder here, set `encoder`"),
        (
            style_of_another_encoder,
            r"ip.safetensors: takes pictures of width 24, .*image_encoder gives 7; take its own",
        ),
        (
            style_of_another_family,
            r"ip.safetensors: made for text of width 64, .*pipeline/unet reads 32: an IP-Adapter of",
        ),
        (style_for_faces, r"ip.safetensors: an IP-Adapter for faces; plain ones and Plus are driven here"),
        (style_that_is_a_lora, r"ip.safetensors: no IP-Adapter \(lora\.1"),
        (style_without_pictures, r"looks: 0 pictures; 1 to 1000 are taken"),
        (style_for_a_lora, r"ip.safetensors: an IP-Adapter \(.*\); LoRAs alone are read"),
        (several_loras, r"2 safetensors files \(a.safetensors, b.safetensors\); say which with `file:`"),
        (pickled_lora, r"\.bin files are not read, they could run code; save the model as safetensors"),
        (lora_outside, r"leads out of"),
        (missing_lora, r"lora 'loras/of/mine.safetensors': no such folder"),
        (steps_beyond_lcm, r"scheduler: lcm takes up to 50 steps, not 60"),
    ],
)
def test_what_does_not_fit_is_refused_at_validation(
    tiny_pipeline: Path, tmp_path: Path, given: Any, words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        spec(tiny_pipeline, **given(tmp_path)).check(tmp_path, (32, 32))


def test_outlines_of_classes_and_objects() -> None:
    one = condition()
    touching = one.instances.copy()
    touching[20:28, 12:16] = 2
    same = replace(one, mask=np.where(touching > 0, 21, one.mask).astype(np.uint8), instances=touching)
    edges = edge_images([one.mask, same.mask], [one.instances, same.instances])
    assert edges.shape == (2, 3, 32, 32)
    assert edges[0, 0, 7, 16] == 1 and edges[0, 0, 10, 16] == 0
    assert edges[1, 0, 24, 11] == 1, "two objects of one class that touch"
    assert set(edges.unique().tolist()) == {0.0, 1.0}


def test_heights_are_relative_to_the_highest() -> None:
    lut = height_lut({3: 12.0, 5: 6.0})
    assert [float(lut[one, 0]) for one in (0, 3, 5, 6)] == [0, 1, 0.5, 0]
    assert float(height_lut({}).max()) == 0
