"""Fixtures that several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no defect
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes and remembered rates of tests stay out of the user's cache; no test reaches for a hub."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ControlNet pipeline of Stable Diffusion 1.5's key layout, tiny, random weights."""
    from tests.tiny_models import save_pipeline  # diffusers, ten seconds: not for the process that only hands out tests

    folder = tmp_path_factory.mktemp("tiny") / "pipeline"
    save_pipeline(folder)
    return folder
