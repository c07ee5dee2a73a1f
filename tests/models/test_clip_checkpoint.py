"""CLIP from one file of weights: what is read, what is refused and with which words. The weights are random."""

from __future__ import annotations

import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.clip import clip_facts, load_clip
from earthsynth_factory.models.clip_files import OpenClipModel, clip_checkpoint, clip_identity
from earthsynth_factory.recipe.plugin_blocks import RULE
from tests.making import make_image
from tests.models.test_clip import CONFIG

NAME = "tiny-of-tests"


@pytest.fixture(scope="module", autouse=True)
def architecture(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A tiny architecture under a name, as open_clip's own are."""
    path = tmp_path_factory.mktemp("architectures")
    (path / f"{NAME}.json").write_text(json.dumps(CONFIG))
    (path / f"{NAME}-wide.json").write_text(json.dumps({**CONFIG, "embed_dim": 8}))
    (path / f"{NAME}-custom.json").write_text(json.dumps({**CONFIG, "custom_text": True}))
    open_clip.add_model_config(path)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return dict(open_clip.CLIP(**CONFIG).state_dict())


def _model(path: Path, name: str = NAME) -> OpenClipModel:
    return OpenClipModel(name=name, pretrained=path.name)


def _vectors(path: Path, name: str = NAME) -> torch.Tensor:
    clip = load_clip(_model(path, name), path.parent, "cpu")
    return torch.cat([clip.images([make_image(1)]), clip.texts(["a ship"])])


@pytest.fixture(scope="module")
def expected(weights: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    path = tmp_path_factory.mktemp("plain") / "w.safetensors"
    save_file(weights, path)
    return _vectors(path)


WRAPPED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "bare.pt": lambda weights: OrderedDict(weights),
    "state_dict.pt": lambda weights: {"state_dict": weights, "epoch": 3, "name": "run"},
    "module.pth": lambda weights: {"state_dict": {f"module.{key}": value for key, value in weights.items()}},
    "both.bin": lambda weights: {"model": {f"module.model.{key}": value for key, value in weights.items()}},
    "older.PT": lambda weights: {**weights, "input_resolution": torch.tensor(32), "vocab_size": torch.tensor(49408)},
    "scalar.pt": lambda weights: {**weights, "logit_scale": weights["logit_scale"].reshape(1)},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_weights_are_found_however_they_are_wrapped(
    name: str, weights: dict[str, torch.Tensor], expected: torch.Tensor, tmp_path: Path
) -> None:
    torch.save(WRAPPED[name](weights), tmp_path / name)
    assert torch.equal(_vectors(tmp_path / name), expected)


def test_they_are_the_weights_of_the_file(expected: torch.Tensor, tmp_path: Path) -> None:
    torch.manual_seed(4)
    torch.save(open_clip.CLIP(**CONFIG).state_dict(), tmp_path / "other.pt")
    assert not torch.allclose(_vectors(tmp_path / "other.pt"), expected, atol=0.1)


def test_a_text_tower_of_its_own_takes_plain_names(
    weights: dict[str, torch.Tensor], expected: torch.Tensor, tmp_path: Path
) -> None:
    torch.save(weights, tmp_path / "w.pt")
    assert torch.equal(_vectors(tmp_path / "w.pt", f"{NAME}-custom"), expected)


def test_another_architecture_is_named_with_shapes(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(ModelError) as caught:
        _vectors(tmp_path / "w.pt", f"{NAME}-wide")
    assert f"does not fit {NAME}-wide: text_projection is (16, 16) in the file and (16, 8)" in str(caught.value)
    assert "Write the architecture that it was trained as in `name`" in str(caught.value)


def test_missing_and_unknown_weights_are_named(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    fewer = {key: value for key, value in weights.items() if key != "visual.proj"}
    torch.save({**fewer, "head.weight": torch.zeros(2)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"missing: visual\.proj; unknown: head\.weight\."):
        _vectors(tmp_path / "w.pt")


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch was_run",)


@pytest.mark.parametrize("pack", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_is_not_run(pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pack({"state_dict": {"visual.proj": _Evil()}}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"w\.pt: cannot be read as weights alone, and nothing else is read"):
        _vectors(tmp_path / "w.pt")
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 half", b"\xff" * 64])
def test_damaged_files_are_named(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError, match=rf"{name}: cannot be read as weights alone"):
        _vectors(tmp_path / name)


@pytest.mark.parametrize(
    ("held", "complaint"),
    [
        ([torch.zeros(1)], "holds a list, not weights by name"),
        ({}, "holds a dict, not weights by name"),
        ({"a": 1, "b": torch.zeros(1)}, "a are no tensors"),
    ],
)
def test_what_holds_no_weights_is_named(held: Any, complaint: str, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=complaint):
        _vectors(tmp_path / "w.pt")


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.pt is no file; `pretrained` names a file of weights, or a tag"):
        load_clip(OpenClipModel(name=NAME, pretrained="absent.pt"), tmp_path, "cpu")
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="CLIP ViT-Z-1 cannot be built"):
        _vectors(tmp_path / "w.pt", "ViT-Z-1")
    with pytest.raises(ModelError, match="write open_clip's name alone"):
        _vectors(tmp_path / "w.pt", "hf-hub:some/one")


def test_the_file_decides_the_fingerprint(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "w.pt")
    model = _model(tmp_path / "w.pt")
    before = clip_identity(model, tmp_path)
    assert (before["architecture"], len(before["weights"])) == (NAME, 64)
    assert clip_facts(model, tmp_path) == {"clip": f"{NAME} (w.pt)", "local": True}
    assert clip_checkpoint(OpenClipModel(name="ViT-B-32", pretrained="laion2b_s34b_b79k"), tmp_path) is None
    torch.save({**weights, "visual.proj": weights["visual.proj"] + 1}, tmp_path / "w.pt")
    assert clip_identity(model, tmp_path) != before


def test_a_rule_takes_it(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    from earthsynth_factory.domain.taxonomy import earthsynth
    from tests.making import make_candidate

    save_file(weights, tmp_path / "w.safetensors")
    block: Any = RULE.parse({"kind": "clip_score", "model": {"name": NAME, "pretrained": "w.safetensors"}})
    rule = block.build(StageContext(earthsynth(), [17, 25], tmp_path, "cpu"))
    rule.open()
    assert -2 <= rule.score([make_candidate()])[0].value <= 2
