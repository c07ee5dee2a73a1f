"""The step and its parts: objectives, losses, what learns, caches, memory that runs out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.engines.local import LocalEngine
from earthsynth_factory.errors import InputError, ModelError
from earthsynth_factory.models.inspection import inspect_base
from earthsynth_factory.models.schedulers import make_scheduler
from earthsynth_factory.training import checkpoint
from earthsynth_factory.training.controlnet import lora
from earthsynth_factory.training.controlnet.base_model import load_base, load_unet
from earthsynth_factory.training.controlnet.batches import Batches
from earthsynth_factory.training.controlnet.cache import EncodeTask, LatentCache, LatentEncoder, PromptCache, Shards
from earthsynth_factory.training.controlnet.denoiser import Average, merged_unet
from earthsynth_factory.training.controlnet.norm_bound import NormBound
from earthsynth_factory.training.controlnet.objective import Objective, cells, losses
from earthsynth_factory.training.controlnet.setup import TrainingSetup, fill_latents, open_data
from tests.tiny_models import TINY
from tests.training.controlnet_runs import recipe_of, setup_of
from tests.training.scenes import write_layout

CPU = torch.device("cpu")
SD = {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
      "beta_schedule": "scaled_linear"}  # fmt: skip
KINDS = {
    "epsilon": {**SD, "prediction_type": "epsilon"},
    "v_prediction": {**SD, "prediction_type": "v_prediction"},
    "flow": {
        "_class_name": "UniPCMultistepScheduler",
        "num_train_timesteps": 1000,
        "prediction_type": "flow_prediction",
    },
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("data") / "d", 6)


def pair(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return tuple(torch.randn(count, 4, 8, 8, generator=random) for _ in range(2))  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_noising_and_target_are_the_schedulers_own(kind: str) -> None:
    objective, theirs = Objective(KINDS[kind], CPU), DDPMScheduler.from_config(KINDS[kind])
    latents, noise = pair()
    levels = torch.tensor([0, 10, 400, 800, 999])
    torch.testing.assert_close(objective.noisy(latents, noise, levels), theirs.add_noise(latents, noise, levels))
    wanted = noise if kind == "epsilon" else theirs.get_velocity(latents, noise, levels)
    torch.testing.assert_close(objective.target(latents, noise, levels), wanted)
    assert objective.times(levels) is levels


def test_flow_goes_straight_from_image_to_noise() -> None:
    objective = Objective(KINDS["flow"], CPU)
    latents, noise = pair()
    sigma = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    moved = latents + sigma[:, None, None, None] * objective.target(latents, noise, sigma)
    torch.testing.assert_close(objective.noisy(latents, noise, sigma), moved)
    assert objective.times(sigma).tolist() == [0, 250, 500, 750, 1000]


@pytest.mark.parametrize("kind", KINDS)
def test_min_snr_weighs_the_error_of_the_image_alike_for_every_objective(kind: str) -> None:
    """An error d in x₀ makes an error in the prediction; weight times its square is min(SNR, γ)·d²."""
    objective = Objective(KINDS[kind], CPU)
    latents, noise = pair(3)
    levels = torch.tensor([0.1, 0.5, 0.9]) if kind == "flow" else torch.tensor([20, 500, 900])
    noisy = objective.noisy(latents, noise, levels)
    signal, spread = objective._scales(levels)
    wrong = latents + 0.01  # the image that a slightly wrong prediction stands for, and the noise that goes with it
    error = objective.target(wrong, (noisy - signal * wrong) / spread, levels) - objective.target(
        latents, noise, levels
    )
    snr = ((signal / spread) ** 2).flatten()
    weighted = objective.weights(levels, 5.0) * error.square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(weighted, snr.clamp(max=5.0) * 1e-4, rtol=2e-2, atol=1e-9)
    assert objective.weights(levels, None).tolist() == [1, 1, 1]


def test_a_flow_matching_base_is_sampled_as_it_is_trained(tiny_pipeline: Path, tmp_path: Path) -> None:
    base = tmp_path / "flow"
    shutil.copytree(tiny_pipeline, base)
    told = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 500, "shift": 3.0}
    (base / "scheduler/scheduler_config.json").write_text(json.dumps(told))
    loaded = load_base(recipe_of(base, tmp_path).model, 32, tmp_path, 0)
    objective = Objective(loaded.scheduler, CPU)
    assert (objective.kind, objective.steps) == ("flow", 500)
    sampler = make_scheduler(loaded.make_scheduler(), "unipc")
    sampler.set_timesteps(4)
    assert sampler.config.prediction_type == "flow_prediction"
    assert sampler.config.flow_shift == 3.0
    assert sampler.init_noise_sigma == 1.0
    torch.testing.assert_close(sampler.sigmas[:-1] * 500, sampler.timesteps.float(), rtol=0, atol=1)


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ModelError, match="prediction_type 'sample' is not trained here"):
        Objective({**SD, "prediction_type": "sample"}, CPU)


def test_local_loss_counts_foreground_cells_alone() -> None:
    local = torch.zeros(2, 16, 16, dtype=torch.bool)
    local[0, :8, :8] = True  # the upper left quarter of sample 0; nothing of sample 1
    inside = cells(local, 4)
    assert inside[0].sum() == 4
    target, predicted = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    predicted[0, :, :2, :2] = 2.0
    known = torch.ones(2, 4, 4)
    found = losses(predicted, target, inside, known, torch.ones(2), local=0.5)
    assert float(found["local"]) == pytest.approx((4.0 + 0.0) / 2)
    assert float(found["global"]) == pytest.approx((1.0 + 0.0) / 2)
    assert float(found["loss"]) == pytest.approx(0.5 + 0.5 * 2.0)
    assert float(losses(predicted, target, inside, known, torch.tensor([0.0, 1.0]), 0.5)["loss"]) == 0


def test_what_is_ignored_is_not_learnt_from() -> None:
    mask = torch.zeros(1, 16, 16, dtype=torch.uint8)
    mask[0, :, 8:] = 255
    known, target, predicted = cells(mask != 255, 4), torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    predicted[..., 2:] = 100.0
    predicted[..., 0] = 2.0
    predicted.requires_grad_()
    found = losses(predicted, target, torch.zeros(1, 4, 4), known, torch.ones(1), local=0.5)
    assert float(found["global"]) == pytest.approx(2.0)
    found["loss"].backward()
    assert predicted.grad is not None and not predicted.grad[..., 2:].any()
    assert not float(losses(predicted, target, known, torch.zeros_like(known), torch.ones(1), 0.0)["loss"])


@pytest.mark.parametrize(("train", "moves"), [
    ("controlnet", {"control"}), ("controlnet+unet", {"control", "unet"}), ("lora", {"control", "lora"}),
    ("scratch", {"control", "unet"}),
])  # fmt: skip
def test_what_is_to_learn_learns_and_nothing_else(
    train: str, moves: set[str], tiny_pipeline: Path, data: Path, tmp_path: Path
) -> None:
    setup = setup_of(recipe_of(tiny_pipeline, data, model={"train": train, "lora_rank": 2}), tmp_path)
    trainer = setup.trainer
    before = {name: p.detach().clone() for name, p in trainer.denoiser.named_parameters()}
    for number in range(3):
        assert trainer.step(number, number * trainer.stride).fault is None

    def kind(name: str) -> str:
        return "lora" if name.endswith((".up.weight", ".down.weight")) and "attn" in name else name.split(".")[0]

    changed = {kind(name) for name, p in trainer.denoiser.named_parameters() if not torch.equal(p, before[name])}
    assert changed == moves
    trainer.loader.close()


def test_scratch_starts_from_other_weights_than_the_base(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    kept, fresh = (
        setup_of(recipe_of(tiny_pipeline, data, model={"train": train}), tmp_path).trainer.denoiser.unet
        for train in ("controlnet", "scratch")
    )
    assert not torch.equal(kept.conv_in.weight, fresh.conv_in.weight)


@pytest.mark.parametrize("train", [pytest.param("controlnet+unet", marks=pytest.mark.slow), "scratch"])
def test_one_batch_is_overfitted(train: str, tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    blocks = {"model": {"train": train}, "optim": {"lr": 3e-3, "batch": 3, "steps": 400, "ema": 0}}
    trainer = setup_of(recipe_of(tiny_pipeline, data, **blocks), tmp_path).trainer
    first = trainer.step(0, 0).losses["loss"]
    for number in range(1, 400):
        last = trainer.step(number, 0).losses["loss"]  # always position 0: one batch, one noise
        if last < first / 10:
            break
    assert last < first / 10, (first, last)


def test_the_average_follows_and_swaps_back() -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    average = Average({"w": weight}, 0.9)
    weight.data.fill_(1.0)
    average.update({"w": weight}, 1000)
    torch.testing.assert_close(average.values["w"], torch.full((3,), 0.1))
    average.swap({"w": weight})
    assert weight.tolist() == pytest.approx([0.1] * 3)
    average.swap({"w": weight})
    assert weight.tolist() == [1.0] * 3
    assert Average({"w": weight}, 0.0).values == {}


def test_moments_come_back_in_the_layout_of_their_weights() -> None:
    """Fused AdamW walks weight and moments by address: a plain copy of channels-last moments would be shuffled."""

    def run(model: torch.nn.Conv2d, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
        for number in range(first, last):
            images = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(number))
            optimizer.zero_grad()
            model(images).square().sum().backward()
            optimizer.step()

    def made() -> tuple[torch.nn.Conv2d, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Conv2d(8, 8, 3).to(memory_format=torch.channels_last)
        return model, torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)

    whole, half, resumed = made(), made(), made()
    run(*whole, 0, 4)
    run(*half, 0, 2)
    plain = {name: value.contiguous() for name, value in checkpoint.pack_optimizer("o", half[1]).items()}
    resumed[0].load_state_dict({name: value.contiguous() for name, value in half[0].state_dict().items()})
    checkpoint.unpack_optimizer("o", resumed[1], plain)
    run(*resumed, 2, 4)
    torch.testing.assert_close(resumed[0].weight, whole[0].weight, rtol=0, atol=0)


def test_folded_updates_are_the_updates(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    exact = {"model": {"train": "lora", "lora_rank": 2}, "run": {"precision": "float32"}}
    setup = setup_of(recipe_of(tiny_pipeline, data, **exact), tmp_path)
    unet = setup.trainer.denoiser.unet
    for module in unet.modules():
        if isinstance(module, lora.TrainedLowRank):
            torch.nn.init.normal_(module.up.weight, std=0.02)
    x, t, words = torch.randn(1, 4, 4, 4), torch.tensor([500]), torch.randn(1, 77, 32)
    folded = merged_unet(setup.trainer.denoiser, setup.base)
    with torch.no_grad():
        torch.testing.assert_close(folded(x, t, words).sample, unet(x, t, words).sample, rtol=1e-3, atol=1e-4)
        for module in unet.modules():
            if isinstance(module, lora.TrainedLowRank):
                module.up.weight.zero_()
        assert (folded(x, t, words).sample - unet(x, t, words).sample).abs().max() > 1e-2
    assert not any(isinstance(module, lora.TrainedLowRank) for module in folded.modules())
    names = lora.export_lora(unet)
    assert "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight" in names
    assert len(names) == 2 * 8 * 16  # A and B, eight projections a block, sixteen blocks


def test_folding_leaves_the_rest_of_the_base_as_its_files_say(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    rounded = {"model": {"train": "lora", "lora_rank": 2}, "run": {"precision": "bfloat16"}}
    setup = setup_of(recipe_of(tiny_pipeline, data, **rounded), tmp_path)
    assert setup.trainer.denoiser.unet.conv_in.weight.dtype is torch.bfloat16
    before, folded = load_unet(inspect_base(tiny_pipeline)), merged_unet(setup.trainer.denoiser, setup.base)
    assert {parameter.dtype for parameter in folded.parameters()} == {torch.float32}
    assert torch.equal(folded.conv_in.weight, before.conv_in.weight)


def test_sizes_that_end_in_a_single_cell_are_computed_in_float32(
    tiny_pipeline: Path, data: Path, tmp_path: Path
) -> None:
    def setup(size: int) -> TrainingSetup:
        recipe = recipe_of(tiny_pipeline, data, run={"precision": "bfloat16"})
        return setup_of(recipe.model_copy(update={"size": size}), tmp_path)

    small, large = setup(32), setup(64)
    assert (small.trainer.dtype, large.trainer.dtype) == (torch.float32, torch.bfloat16)
    assert any("computed in float32: at size 32" in note for note in small.notes)
    assert not any("float32" in note for note in large.notes)


def test_both_precisions_give_nearly_the_same_gradients(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    norms = {}
    for precision in ("float32", "bfloat16"):
        trainer = setup_of(recipe_of(tiny_pipeline, data, run={"precision": precision}), tmp_path / precision).trainer
        norms[precision] = [trainer.step(number, 0).norm for number in range(3)]
    assert norms["bfloat16"] == pytest.approx(norms["float32"], rel=0.1)


def test_a_gradient_beyond_the_bound_is_refused_and_not_remembered() -> None:
    bound = NormBound(100)
    assert bound.fault(1e14) is None  # nothing to compare with yet
    assert all(bound.fault(norm) is None for norm in (1.0, 2.0, 3.0, 4.0, 300.0))
    assert bound.fault(1e4) == "the gradient's norm was 1e+04, 2.86e+03 times the usual 3.5"
    assert bound.fault(float("nan")) == bound.fault(float("inf")) == "loss or gradient was no number"
    again = NormBound(100)
    again.load(bound.state())
    assert again.state().tolist() == [1e14, 1.0, 2.0, 3.0, 4.0, 300.0]


def test_latents_are_encoded_once_and_read_back(tmp_path: Path) -> None:
    vae = AutoencoderKL(**TINY["vae"]).eval()
    cache = LatentCache(tmp_path, LatentEncoder(vae, CPU))
    images = {str(n): np.full((32, 32, 3), 40 * n, np.uint8) for n in range(3)}
    asked: list[str] = []

    def load(key: str) -> np.ndarray:
        asked.append(key)
        return images[key]

    wanted = [(key, lambda key=key: load(key)) for key in images]
    cache.fill(cache.lacking(wanted), LocalEngine(["cpu"]), EncodeTask(lambda _: cache.encoder))
    assert asked == ["0", "1", "2"] and not cache.lacking(wanted)
    again = LatentCache(tmp_path, cache.encoder)
    straight = cache.encoder.encode(torch.from_numpy(np.stack(list(images.values()))))
    torch.testing.assert_close(again.moments(images).float(), straight.half().float(), rtol=0, atol=0)
    posterior = vae.encode(torch.full((1, 3, 32, 32), -1.0)).latent_dist
    expected = torch.cat([posterior.mean, posterior.std], 1) * vae.config.scaling_factor
    torch.testing.assert_close(straight[:1], expected.detach(), rtol=1e-4, atol=1e-5)


def test_processes_that_look_at_different_moments_fill_the_cache_together(
    tiny_pipeline: Path, data: Path, tmp_path: Path
) -> None:
    """The second opens when the first has written already: whoever looks when, no image is left to nobody."""
    recipe = recipe_of(tiny_pipeline, data)
    base = load_base(recipe.model, recipe.size, tmp_path, 0)
    dataset = open_data(recipe, tmp_path, tmp_path)
    made = [Batches(dataset, recipe, PromptWriter(dataset.taxonomy), rank, 2) for rank in range(2)]
    for rank, batches in enumerate(made):
        team = Mock(rank=rank, world=2, device=CPU)
        cache = fill_latents(base, batches, tmp_path / "c", team, torch.float32, lambda *_: None)
    keys = {f"{sample.digest}-0" for sample in (*dataset.samples, *dataset.held_out)}
    assert all(key in cache.shards for key in keys)


def test_a_damaged_cache_file_is_named(tmp_path: Path) -> None:
    shards = Shards(tmp_path)
    shards.add({"a": torch.ones(2, 3)})
    [path] = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ModelError, match=r"a damaged cache file .* remove it, it will be made again"):
        Shards(tmp_path)


def test_prompts_are_embedded_as_the_pipeline_does(tiny_pipeline: Path, tmp_path: Path) -> None:
    from diffusers import StableDiffusionControlNetPipeline

    pipe = StableDiffusionControlNetPipeline.from_pretrained(tiny_pipeline, safety_checker=None)
    prompts = PromptCache(tmp_path, pipe.text_encoder, pipe.tokenizer, CPU)
    prompts.fill(["a road", ""])
    made = prompts(["a road", "a ship", ""])  # the second is not on disk
    for prompt, found in zip(["a road", "a ship", ""], made, strict=True):
        theirs = pipe.encode_prompt(prompt, "cpu", 1, False)[0][0].detach()
        torch.testing.assert_close(found, theirs.half().float(), rtol=0, atol=0)
    assert prompts.too_long(["a road", "a road " * 60]) == ["a road " * 60]


def test_out_of_memory_names_what_was_tried_and_fits(
    tiny_pipeline: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = setup_of(recipe_of(tiny_pipeline, data), tmp_path).trainer
    real = trainer._backward

    def limited(inputs, network):  # type: ignore[no-untyped-def]
        if len(inputs.latents) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return real(inputs, network)

    monkeypatch.setattr(trainer, "_backward", limited)
    with pytest.raises(InputError) as caught:
        trainer.step(0, 0)
    told = "a pass of 1 fits: set optim.batch: 1 and optim.accumulate: 6"
    assert str(caught.value).startswith("cpu: out of memory with optim.batch 6 at 64 px")
    assert str(caught.value).endswith(told)
    monkeypatch.setattr(trainer, "_fits", lambda prepared, count: False)
    with pytest.raises(InputError, match=r"not even one sample fits: set optim\.checkpointing: true, or lower size"):
        trainer.step(0, 0)


def test_composed_images_are_encoded_a_few_at_once_and_a_batch_that_cannot_be_made_is_told(
    tiny_pipeline: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = setup_of(recipe_of(tiny_pipeline, data, optim={"batch": 30}), tmp_path).trainer
    vae, sizes = trainer.latents.encoder._vae, []
    real = vae.encode
    monkeypatch.setattr(vae, "encode", lambda pixels: (sizes.append(len(pixels)), real(pixels))[1])
    trainer.inputs(trainer.loader.get(0))
    assert sizes == [8, 2]
    monkeypatch.setattr(trainer.loader, "get", Mock(side_effect=MemoryError("Unable to allocate 2 GiB")))
    with pytest.raises(
        InputError, match=r"making a batch of 30 ready \(Unable to allocate 2 GiB\); lower optim\.batch"
    ):
        trainer.step(0, 0)


def test_a_step_without_a_number_changes_nothing(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    trainer = setup_of(recipe_of(tiny_pipeline, data), tmp_path).trainer
    before = {name: value.clone() for name, value in trainer.state().items()}
    real = trainer.inputs
    trainer.inputs = lambda prepared: replace(real(prepared), latents=real(prepared).latents * float("nan"))  # type: ignore[method-assign]
    outcome = trainer.step(0, 0)
    assert outcome.fault == "loss or gradient was no number"
    for name, value in trainer.state().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, msg=name)


def test_accumulated_passes_are_one_large_step(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    """Two passes of three and one of six see the same real samples at the same positions."""
    off = {"cf_comp": {"mode": "off"}}
    twice = setup_of(recipe_of(tiny_pipeline, data, **off, optim={"batch": 3, "accumulate": 2}), tmp_path).trainer
    once = setup_of(recipe_of(tiny_pipeline, data, **off, optim={"batch": 6}), tmp_path).trainer
    assert twice.stride == once.stride == 6
    seen = [twice.loader.get(p).batch.picks.tolist() for p in (0, 3)]
    assert [pick for picks in seen for pick in picks] == once.loader.get(0).batch.picks.tolist()
    twice.step(0, 0)
    assert all(p.grad is not None for p in twice.learning.values())


def test_the_learning_rate_rises_then_stays_or_falls(tiny_pipeline: Path, data: Path, tmp_path: Path) -> None:
    flat, falling = (
        setup_of(
            recipe_of(tiny_pipeline, data, optim={"lr": 1.0, "warmup": 4, "steps": 100, "schedule": schedule}), tmp_path
        ).trainer
        for schedule in ("constant", "cosine")
    )
    assert [flat.rate(n) for n in (0, 1, 3, 50, 99)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    assert [round(falling.rate(n), 2) for n in (0, 3, 52, 99)] == [0.25, 1.0, 0.53, 0.05]


def test_control_images_are_the_cards(data: Path, tiny_pipeline: Path, tmp_path: Path) -> None:
    trainer = setup_of(recipe_of(tiny_pipeline, data), tmp_path).trainer
    masks = np.full((2, 32, 32), 25, np.uint8)
    control = trainer.control(masks, np.array([True, False]))
    assert control.shape == (2, 3, 32, 32)
    assert control[0].unique().tolist() == pytest.approx([25 / 255])
    assert control[1].max() == 0
