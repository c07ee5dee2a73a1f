"""The generator's stages on micro models: what each learns from, that the whole goes on, and that the pipeline agrees."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionControlNetPipeline
from torch import Tensor

from earthsynth_factory.errors import Interrupted, SourceError
from earthsynth_factory.evaluation import features
from earthsynth_factory.models.card import read_card
from earthsynth_factory.training import checkpoint
from research.embedded import export, networks, timed
from research.embedded.adversary import Adversary, Heads, balanced
from research.embedded.average import Average
from research.embedded.captions import categories_in
from research.embedded.crops import Scene
from research.embedded.decoder import Encoder
from research.embedded.denoise import Conditions, draw, noise_levels
from research.embedded.generator import Studio, load_generator, train_generator
from research.embedded.pca import projection
from research.embedded.pool import Pool
from research.embedded.recipe import (
    AutoencoderSpec,
    ClipSpec,
    DataSpec,
    DecoderSpec,
    DenoiserSpec,
    FewStepsSpec,
    FlowSpec,
    PresetSpec,
    SegmenterSpec,
    SourceSpec,
    TrainRecipe,
)
from research.embedded.scenes import pack_scenes, unpack_scenes
from research.embedded.surfaces import surfaces

CPU = torch.device("cpu")
PRESET = PresetSpec(
    autoencoder=AutoencoderSpec(channels=(16, 16, 32, 48), latent_channels=4),
    denoiser=DenoiserSpec(
        channels=(16, 32),
        attention=(False, True),
        heads=2,
        condition_channels=(4, 4, 8, 8),
        text_width=32,
        text_layers=1,
    ),
    decoder=DecoderSpec(seconds=0.3, batch=3),
    flow=FlowSpec(seconds=0.3, batch=4),
    few_steps=FewStepsSpec(seconds=0.3, pair_seconds=0.1, pair_batch=4, pair_steps=2, batch=3),
    clip=ClipSpec(steps=1),
    segmenter=SegmenterSpec(steps=1),
)
SOURCE = {"min_side": 64, "max_side": 96, "pool": 6}
RECIPE = TrainRecipe(
    size=64,
    data=DataSpec(sources={"land": SourceSpec(**SOURCE), "tanks": SourceSpec(**SOURCE, things_only=True)}),
    presets={"cpu": PRESET},
)
needs_teacher = pytest.mark.skipif(
    features.find_spec(features.PACKAGE) is None, reason="the extra `evaluate` is not installed"
)


def scene(dense: bool, seed: int) -> Scene:
    """Flat water on land, or a tank on what is not labelled, under a little noise."""
    mask = np.full((120, 140), 1 if dense else 0, np.uint8)
    mask[40:80, 40:80] = 6 if dense else 25
    image = np.where(mask[..., None] > 1, (40, 60, 200), (180, 150, 90)).astype(np.float64)
    image += np.random.default_rng(seed).normal(0, 12, image.shape)
    boxes = np.empty((0, 5), np.int64) if dense else np.array([[25, 40, 40, 80, 80]])
    guess = None if dense else np.where(mask == 0, 1, mask).astype(np.uint8)
    return Scene(image.clip(0, 255).astype(np.uint8), mask, boxes, 0.5, dense, guess)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    scenes = {"land": [scene(True, n) for n in range(2)], "tanks": [scene(False, n) for n in range(2)]}
    pack_scenes(scenes, tmp_path / "scenes.safetensors", 90)
    return Studio(RECIPE, PRESET, tmp_path / "scenes.safetensors", tmp_path, CPU)


def test_scenes_come_back_with_masks_and_boxes_exact(tmp_path: Path) -> None:
    given = {"land": [scene(True, 1)], "tanks": [scene(False, 2), scene(False, 3)]}
    assert pack_scenes(given, tmp_path / "scenes", 90) == (tmp_path / "scenes").stat().st_size
    again = unpack_scenes(tmp_path / "scenes")
    assert {name: len(part) for name, part in again.items()} == {"land": 1, "tanks": 2}
    for name, part in given.items():
        for one, other in zip(part, again[name], strict=True):
            np.testing.assert_array_equal(one.mask, other.mask)
            np.testing.assert_array_equal(one.boxes, other.boxes)
            assert one.dense == other.dense
            assert (one.filled is None) == (other.filled is None)
            assert np.abs(one.image.astype(int) - other.image).mean() < 12


def test_what_is_no_file_of_scenes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scenes").write_bytes(b"no tensors here")
    with pytest.raises(SourceError, match="not a file of scenes"):
        unpack_scenes(tmp_path / "scenes")


def test_surfaces_by_colour() -> None:
    image = np.zeros((80, 120, 3), np.uint8)
    image[:, :40], image[:, 40:80], image[:, 80:] = (150, 150, 152), (100, 160, 70), (30, 50, 60)
    mask = np.zeros((80, 120), np.uint8)
    mask[:4, :4] = 17
    found = surfaces(image, mask)
    assert [int(found[40, x]) for x in (20, 60, 100)] == [3, 2, 6], "pavement, grass, water beside a ship"
    mask[:4, :4] = 21
    assert found.shape == mask.shape
    assert int(surfaces(image, mask)[40, 20]) == 4, "road under a vehicle"


def test_a_pool_gives_every_category_its_share_and_turns_image_and_mask_alike(studio: Studio) -> None:
    batch = studio.pool.batch(64, torch.Generator().manual_seed(0))
    held = torch.stack([(batch.masks == c).flatten(1).any(1) for c in (6, 25)]).float().mean(1)
    assert held.min() > 0.2
    blue, bright = batch.images[:, 2] - batch.images[:, 0], (batch.masks == 6) | (batch.masks == 25)
    assert blue[bright].mean() > 0.6
    assert blue[~bright].mean() < 0
    assert batch.tokens.shape == (64, networks.TOKENS)
    control = studio.pool.control(batch.masks)
    assert control.shape == (64, 3, 64, 64)
    assert 0 <= float(control.min()) <= float(control.max()) <= 1


def test_one_convolution_is_the_encoder(studio: Studio) -> None:
    vae = studio.autoencoder()
    images = studio.pool.batch(12, torch.Generator().manual_seed(0)).images
    with torch.no_grad():
        wanted = vae.encode(images).latent_dist.mode()
    found = Encoder(vae, CPU)(images)
    weight, _ = projection(vae)
    assert weight.shape == (4, 3, 8, 8)
    assert float((found - wanted).abs().mean()) < 0.1 * float(wanted.std())


def test_heads_learn_what_is_made_and_their_verdict_pulls_towards_the_real() -> None:
    torch.manual_seed(0)
    adversary = Adversary(Heads({4: 6, 8: 6}, (1, 6)), 5e-3)
    masks = torch.randint(0, 2, (8, 16, 16), dtype=torch.uint8)

    def maps(offset: float) -> dict[int, Tensor]:
        return {stride: torch.randn(8, 6, 16 // stride, 16 // stride) + offset for stride in (4, 8)}

    losses = [float(adversary.learn((maps(1), masks), (maps(-1), masks), 1.0)) for _ in range(60)]
    assert losses[-1] < 0.7 * losses[0]
    made = {stride: one.requires_grad_() for stride, one in maps(-1).items()}
    before = [weight.clone() for weight in adversary.heads.parameters()]
    adversary.against(made, masks).backward()
    assert all(float(one.grad.sum()) < 0 for one in made.values() if one.grad is not None)
    assert all(weight.grad is None or not weight.grad.any() for weight in adversary.heads.parameters()) or all(
        torch.equal(a, b) for a, b in zip(before, adversary.heads.parameters(), strict=True)
    )


def test_the_verdict_is_brought_to_its_weight() -> None:
    images = torch.randn(2, 3, 4, 4, requires_grad=True)
    likeness, verdict = images.square().sum(), 1e-6 * (images * torch.randn(2, 3, 4, 4)).sum()
    (toward,) = torch.autograd.grad(likeness, images, retain_graph=True)
    weight = torch.tensor([0.0, 2.0])
    found = balanced(images, likeness, verdict, weight)
    torch.testing.assert_close(found[0], toward[0])
    assert float((found[1] - toward[1]).norm()) > 0.3 * float(toward.norm())


def test_an_average_follows() -> None:
    layer = torch.nn.Linear(2, 2)
    average = Average({"layer": layer}, 0.5)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight += 1
    average.follow(100)
    torch.testing.assert_close(average.modules["layer"].weight, start + 0.5)


def test_noise_levels_are_the_schedulers() -> None:
    levels = noise_levels(2)
    assert [round(sigma, 3) for _, sigma, _ in levels] == [1.0, 0.6]
    assert levels[0][2] == levels[1][1]
    assert levels[-1][2] == 0
    assert [time for time, _, _ in levels] == [999, 600]


@needs_teacher
def test_all_stages_leave_their_files_and_are_not_run_again(studio: Studio) -> None:
    train_generator(studio)
    modules, vae = load_generator(studio)
    names = ("decoder", "flow", "generator")
    times = [(studio.out / f"{name}.safetensors").stat().st_mtime_ns for name in names]
    train_generator(studio)
    again, same = load_generator(studio)
    assert times == [(studio.out / f"{name}.safetensors").stat().st_mtime_ns for name in names]
    for one, other in zip((*modules.values(), vae), (*again.values(), same), strict=True):
        for wanted, found in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@needs_teacher
def test_a_stopped_stage_goes_on(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(timed, "stop_on_signals", lambda: nullcontext(stop))
    stop.set()
    with pytest.raises(Interrupted, match="decoder: stopped after 0 of 0 s; the same command goes on"):
        train_generator(studio)
    assert checkpoint.latest(studio.out / "decoder" / "checkpoints") is not None
    stop.clear()
    train_generator(studio)
    assert (studio.out / "generator.safetensors").is_file()


def test_the_exported_pipeline_loads_by_diffusers_alone_and_draws_as_trained(studio: Studio, tmp_path: Path) -> None:
    modules, vae = studio.drawing(), studio.autoencoder()
    assert studio.categories == categories_in(studio.crops.masks) == (1, 6, 25)
    card = export.card("micro", 64, studio.categories, 2)
    export.save_pipeline(tmp_path / "pipeline", modules, vae, studio.tokenizer, card)
    assert read_card(tmp_path / "pipeline") == card
    files = [p for p in (tmp_path / "pipeline").rglob("*") if p.is_file()]
    assert {p.suffix for p in files} <= {".json", ".safetensors", ".txt"}
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(tmp_path / "pipeline", torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pool: Pool = studio.pool
    batch = pool.batch(2, torch.Generator().manual_seed(1))
    noise = torch.randn(2, *studio.latent, generator=torch.Generator().manual_seed(2))
    loaded = {"text": pipeline.text_encoder, "unet": pipeline.unet, "control": pipeline.controlnet}
    with torch.no_grad():
        wanted = draw(loaded, noise, Conditions(pool.control(batch.masks), batch.tokens), 2)
        found = pipeline(
            prompt_embeds=pipeline.text_encoder(batch.tokens).last_hidden_state,
            image=pool.control(batch.masks),
            height=64,
            width=64,
            num_inference_steps=2,
            guidance_scale=1.0,
            latents=noise.clone(),
            output_type="latent",
        ).images
    assert float((found - wanted).abs().max()) < 0.1, "bf16, if the processor computes in it, against fp32"
