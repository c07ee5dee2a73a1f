"""The cache of latents filled by several processes: the same bytes as by one, and a worker that dies is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.errors import Interrupted
from earthsynth_factory.training.controlnet import cache, setup
from earthsynth_factory.training.controlnet.base_model import load_base
from earthsynth_factory.training.controlnet.batches import Batches
from earthsynth_factory.training.controlnet.setup import fill_latents, open_data
from tests.killing import kill_a_worker
from tests.training.controlnet_runs import recipe_of
from tests.training.scenes import write_layout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_layout(tmp_path_factory.mktemp("data") / "d", 6)


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "ENCODED", 2)
    monkeypatch.setattr(setup, "ENCODED", 2)
    monkeypatch.setattr(cache, "SHARD", 4)


def fill(
    base: Path, data: Path, out: Path, workers: int, on_progress: Callable[[str, int, int], None]
) -> dict[str, bytes]:
    """The files of a cache that was filled, by name."""
    recipe = recipe_of(base, data, run={"workers": workers}, data={"variants": 3})
    loaded, dataset = load_base(recipe.model, recipe.size, out.parent, 0), open_data(recipe, out.parent, out.parent)
    batches = Batches(dataset, recipe, PromptWriter(dataset.taxonomy), 0, 1)
    team = Mock(rank=0, world=1, device=torch.device("cpu"))
    fill_latents(loaded, batches, out, team, torch.float32, on_progress)
    return {path.name: path.read_bytes() for path in out.rglob("*.safetensors")}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whoever_fills_the_cache_and_whoever_dies_it_holds_the_same_bytes(
    tiny_pipeline: Path, data: Path, tmp_path: Path
) -> None:
    """One of two workers is killed, the other goes on: as if one had done all. A shard holds two batches. What is left may be
    all, if the first batch was the slowest.
    """

    def kill(_what: str, done: int, _total: int) -> None:
        if done == 2:
            kill_a_worker()

    with pytest.raises(Interrupted, match=r"died \(exit code -9.*with fewer `run.workers`"):
        fill(tiny_pipeline, data, tmp_path / "killed", 2, kill)
    left = {path.name: path.read_bytes() for path in (tmp_path / "killed").rglob("*.safetensors")}
    whole = fill(tiny_pipeline, data, tmp_path / "whole", 1, lambda *_: None)
    assert len(left) <= len(whole) and left.items() <= whole.items()
    seen: list[int] = []
    assert fill(tiny_pipeline, data, tmp_path / "killed", 2, lambda _, done, __: seen.append(done)) == whole
    assert seen == list(range(2, 17 - 4 * len(left), 2))
