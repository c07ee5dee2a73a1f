"""CLIP from a local folder: a tiny random model in the layout that open_clip reads; and the rules that use it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.clip import BATCH, ClipModel, _loaded, load_clip
from earthsynth_factory.models.clip_files import OpenClipModel, clip_identity
from earthsynth_factory.models.device import CPU_PRECISION, cpu_dtype
from earthsynth_factory.models.weights import EMBEDDED
from earthsynth_factory.rfilter.clip_score import ClipScoreSpec
from earthsynth_factory.rfilter.instance_class import InstanceClassSpec
from tests.making import make_candidate, make_image

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("clip")
    save_file(open_clip.CLIP(**CONFIG).state_dict(), path / "open_clip_model.safetensors")
    norm = {"mean": [0.5] * 3, "std": [0.25] * 3}
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": norm}))
    return path


@pytest.fixture(scope="module")
def clip(folder: Path) -> ClipModel:
    return load_clip(str(folder), Path(), "cpu")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_vectors_have_length_one(precision: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CPU_PRECISION, precision)
    _loaded.cache_clear()
    clip = load_clip(str(folder), Path(), "cpu")
    _loaded.cache_clear()
    images = clip.images([make_image(1), make_image(2, 80)])
    texts = clip.texts(["a ship", "a storage tank"])
    assert images.shape == texts.shape == (2, 16)
    for vectors in (images, texts):
        assert np.allclose(vectors.norm(dim=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_its_batch_mates(clip: ClipModel) -> None:
    images = [make_image(seed) for seed in range(BATCH + 3)]
    together = clip.images(images)
    assert all(torch.equal(together[at], clip.images([images[at]])[0]) for at in (0, 7, BATCH + 2))


def test_identity_is_the_hash_of_the_weights(folder: Path) -> None:
    [(name, digest)] = clip_identity(str(folder), Path()).items()
    assert (name, len(digest)) == ("open_clip_model.safetensors", 64)


def test_an_incomplete_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"open_clip_config\.json is missing; write `embedded`"):
        load_clip(str(tmp_path), Path(), "cpu")


def test_weights_of_another_shape_are_an_error_of_ours(folder: Path, tmp_path: Path) -> None:
    config = {"model_cfg": {**CONFIG, "embed_dim": 8}, "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    (tmp_path / "open_clip_model.safetensors").write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_clip(str(tmp_path), Path(), "cpu")


def test_without_network_and_cache_both_remedies_are_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        load_clip(OpenClipModel(name="ViT-B-32", pretrained="laion2b_s34b_b79k"), Path(), "cpu")
    assert "open_clip.create_model('ViT-B-32', 'laion2b_s34b_b79k')" in str(caught.value)
    assert "set `model: embedded`" in str(caught.value)


@pytest.mark.parametrize("name", ["tiny", "embedded"])
def test_rules_score_alone_as_in_company(name: str, folder: Path) -> None:
    if name == "embedded" and not (EMBEDDED / "clip" / "open_clip_config.json").is_file():
        pytest.skip("the embedded CLIP is not in this checkout")
    model = str(folder) if name == "tiny" else name
    for spec in (
        ClipScoreSpec(kind="clip_score", model=model),
        InstanceClassSpec(kind="instance_class", model=model),
    ):
        rule = spec.build(StageContext(earthsynth(), [17, 25], Path(), "cpu"))
        rule.open()
        candidates = [make_candidate(index, things=index != 2) for index in range(3)]
        together = rule.score(candidates)
        assert together == [rule.score([candidate])[0] for candidate in candidates]
        assert all(score.passed == (not score.reason) for score in together)


def test_an_image_without_a_target_passes_the_object_rule(folder: Path) -> None:
    spec = InstanceClassSpec(kind="instance_class", model=str(folder), min_share=1, top=1)
    rule = spec.build(StageContext(earthsynth(), [17, 25], Path(), "cpu"))
    rule.open()
    assert [(score.value, score.passed) for score in rule.score([make_candidate(things=False)])] == [(1.0, True)]


def test_a_threshold_that_cannot_be_met_gives_a_reason(folder: Path) -> None:
    spec = ClipScoreSpec(kind="clip_score", model=str(folder), min_margin=2)
    rule = spec.build(StageContext(earthsynth(), [17, 25], Path(), "cpu"))
    rule.open()
    [score] = rule.score([make_candidate()])
    assert not score.passed
    assert "least +2" in score.reason


def test_a_precision_that_no_processor_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CPU_PRECISION, "float16")
    with pytest.raises(ModelError, match="ESF_CPU_PRECISION='float16' → must be float32 or bfloat16"):
        cpu_dtype()
    for name in ("float32", "bfloat16"):
        monkeypatch.setenv(CPU_PRECISION, name)
        assert str(cpu_dtype()) == f"torch.{name}"
