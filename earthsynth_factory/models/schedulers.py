"""diffusers' samplers by the short names that recipes and cards use."""

from __future__ import annotations

from typing import Any

from earthsynth_factory.models.card import Scheduler

_CLASSES = {
    "unipc": "UniPCMultistepScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
}


def make_scheduler(own: Any, name: Scheduler) -> Any:
    """diffusers' sampler of that name with the settings of `own`, the one saved with the weights."""
    if name == "model":
        return own
    import diffusers

    return getattr(diffusers, _CLASSES[name]).from_config(own.config)
