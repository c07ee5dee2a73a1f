"""Every stage on micro models: a stopped run ends where an unbroken one does, and the export loads without our code."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from earthsynth_factory.errors import Interrupted, ModelError
from earthsynth_factory.training import checkpoint
from research.embedded import export, networks, vocabulary
from research.embedded.captions import all_words
from research.embedded.clip import ClipStage, zero_shot
from research.embedded.loop import Pace, Stage, train
from research.embedded.pca import write_encoder
from research.embedded.pixels import to_tensor
from research.embedded.recipe import AutoencoderSpec, ClipSpec
from tests.research.embedded.test_crops import crop_set

CPU = torch.device("cpu")
CLIP = ClipSpec(size=32, width=8, embed=16, text_width=32, text_layers=1, batch=4, steps=4)


def _crops():
    return crop_set(count=12, size=64)


def _clip() -> ClipStage:
    return ClipStage(CLIP, _crops(), 1, CPU)


class _StopsItself:
    """A stage that sends SIGTERM to its own process during one step."""

    def __init__(self, stage: Stage, at: int) -> None:
        self._stage, self._at = stage, at
        self.name, self.batch, self.state, self.load, self.sample = (
            stage.name, stage.batch, stage.state, stage.load, stage.sample,
        )  # fmt: skip

    def step(self, number: int) -> dict[str, float]:
        losses = self._stage.step(number)
        if number == self._at:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = _clip()
    train(whole, tmp_path / "whole", Pace(4))
    with pytest.raises(Interrupted, match="clip: stopped at step 3 of 4; the same command goes on"):
        train(_StopsItself(_clip(), 2), tmp_path / "broken", Pace(4))
    resumed = _clip()
    assert train(resumed, tmp_path / "broken", Pace(4)) == 4
    for key, value in whole.state().items():
        torch.testing.assert_close(resumed.state()[key], value, rtol=0, atol=0, msg=key)


def test_two_checkpoints_are_kept_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        path = checkpoint.save(tmp_path, checkpoint.Checkpoint(step, 0.0, {"w": torch.full((2,), float(step))}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002.safetensors", "step-00000003.safetensors"]
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ModelError, match="damaged checkpoint"):
        checkpoint.latest(tmp_path)


def test_the_untrained_encoder_is_the_pca_of_patches() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (40, 16, 16, 3)).astype(np.uint8).repeat(4, 1).repeat(4, 2)
    model = networks.build_autoencoder(AutoencoderSpec(channels=(16, 16, 32, 48), latent_channels=4), 64)
    write_encoder(model, images, 1)
    with torch.no_grad():
        codes = model.encode(to_tensor(images, CPU)).latent_dist.mode().permute(0, 2, 3, 1).reshape(-1, 4).numpy()
    patches = images.reshape(40, 8, 8, 8, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 192).astype(np.float64)
    centred = patches - patches.mean(0)
    leading = np.linalg.eigvalsh(np.cov(centred, rowvar=False))[::-1]
    design = np.c_[codes, np.ones(len(codes))]
    explained = 1 - (centred - design @ np.linalg.lstsq(design, centred, rcond=None)[0]).var(0).sum() / leading.sum()
    assert explained > 0.97 * leading[:4].sum() / leading.sum()


def _rest(crops):
    return crops.metres_per_pixel, crops.focus, crops.dense


def test_the_exported_clip_loads_by_open_clip_alone_and_agrees(tmp_path: Path) -> None:
    stage = ClipStage(CLIP, _crops(), 1, CPU)
    (tmp_path / "clip").mkdir()
    export.save_clip(tmp_path / "clip", stage.model, CLIP)
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path / 'clip'}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'clip'}")(["storage tank"])
    stage.model.eval()
    with torch.no_grad():
        expected, got = (m.encode_text(tokens, normalize=True) for m in (stage.model, model))
    torch.testing.assert_close(got.float(), expected, rtol=0, atol=2e-2)


def test_clip_learns_two_flat_classes() -> None:
    crops = _crops()
    images = np.where(crops.masks[..., None] == 25, 230, 60).astype(np.uint8).repeat(3, axis=3)
    toy = type(crops)(images, crops.masks, *_rest(crops))
    spec = CLIP.model_copy(update={"steps": 40, "batch": 8})
    stage = ClipStage(spec, toy, 1, CPU)
    for number in range(40):
        stage.step(number)
    counts = zero_shot(stage.model, toy, spec.size, CPU)
    assert sum(right for right, _ in counts.values()) / sum(tried for _, tried in counts.values()) > 0.9


def test_every_word_of_a_prompt_is_one_token(tmp_path: Path) -> None:
    tokenizer = vocabulary.save_tokenizer(all_words(), tmp_path, networks.TOKENS)
    pieces = tokenizer.tokenize("A satellite image of storage tank, ground track field, 0.8 m")
    words = [
        "a",
        "satellite",
        "image",
        "of",
        "storage",
        "tank",
        ",",
        "ground",
        "track",
        "field",
        ",",
        "0",
        ".",
        "8",
        "m",
    ]
    assert pieces == [f"{word}</w>" for word in words]
    ids = tokenizer([""], padding="max_length", max_length=networks.TOKENS).input_ids[0]
    assert len(ids) == networks.TOKENS
    assert json.loads((tmp_path / "vocab.json").read_text())["<|endoftext|>"] == ids[-1]
