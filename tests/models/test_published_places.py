"""Where a published ControlNet lies: in its repository's folder or in the root, as the hub's cache holds either."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.models import hub
from earthsynth_factory.models.registry import EARTHSYNTH, at_hand
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from tests.models.test_layouts import image_of, parts, spec

__all__ = ["parts"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put(cache: Path, name: str, revision: str, source: Path, inside: str = "") -> None:
    """A folder as the snapshot of a repository in the hub's cache."""
    repository = cache / f"models--{name.replace('/', '--')}"
    commit = revision if len(revision) == len(COMMIT) else COMMIT
    shutil.copytree(source, repository / "snapshots" / commit / inside)
    (repository / "refs").mkdir()
    (repository / "refs" / revision).write_text(commit)


@pytest.fixture
def cache(parts: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with Stable Diffusion alone."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(parts / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    put(parts / "cache", EARTHSYNTH.base, EARTHSYNTH.base_revision, parts / "base")
    return parts / "cache"


@pytest.mark.parametrize("inside", ["controlnet", ""])
def test_earthsynth_in_its_folder_or_in_the_root(parts: Path, cache: Path, inside: str) -> None:
    assert not at_hand("earthsynth", parts)
    put(cache, EARTHSYNTH.controlnet, "main", parts / "cn", inside)
    assert at_hand("earthsynth", parts)
    given = ControlNetSpec(model="earthsynth", steps=2, batch=2, precision="float32")
    plain = ControlNetSpec.model_validate({**given.model_dump(), "model": {"base": "base", "controlnet": "cn"}})
    plain = plain.model_copy(update={"guidance": 7.5, "scheduler": "unipc"})
    assert np.array_equal(image_of(given, parts), image_of(plain, parts))
    generator = given.build(StageContext(earthsynth(), (), parts, "cpu"))
    generator.open()
    assert generator.describe()["controlnet"] == f"found in {inside or 'the root'}"
    noted = [f"{EARTHSYNTH.controlnet}: no ControlNet in controlnet; the one in its root is used"]
    assert generator.notes() == ([] if inside else noted)


@pytest.mark.parametrize(
    ("lies", "named", "said"),
    [("", "", "the root"), ("controlnet", "", "controlnet"), ("model", "model", "model"), ("", "model", "the root")],
)
def test_two_parts_on_the_hub(parts: Path, cache: Path, lies: str, named: str, said: str) -> None:
    put(cache, "me/mine", "main", parts / "cn", lies)
    given = spec(controlnet="me/mine", subfolder=named)
    assert at_hand(given.model, parts)
    assert np.array_equal(image_of(given, parts), image_of(spec(), parts))
    generator = given.build(StageContext(earthsynth(), (), parts, "cpu"))
    generator.open()
    assert generator.describe()["controlnet"] == f"found in {said}"
    assert len(generator.notes()) == (named not in ("", lies))


def test_what_lacks_is_named_for_both_places() -> None:
    wanted, lacking = hub.controlnet_repository("me/mine", "main", "model").choose({"README.md", "config.json"})
    assert wanted == [] and lacking == ["model/config.json", "diffusion_pytorch_model.safetensors"]
