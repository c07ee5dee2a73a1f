"""diffusers' samplers by the short names that recipes and cards use, and which of them a model can run. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.card import Scheduler

_CLASSES = {
    "unipc": "UniPCMultistepScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
}

_FLOW = ("unipc", "dpm++")
"""Those that run a flow-matching model."""

_PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow_prediction")


def prediction_of(scheduler: Mapping[str, Any]) -> str:
    """What the networks beside these settings were trained to give."""
    if str(scheduler.get("_class_name")).startswith("FlowMatch"):
        return "flow_prediction"
    return str(scheduler.get("prediction_type", "epsilon"))


def check_scheduler(name: Scheduler, own: Mapping[str, Any], place: object) -> None:
    """Raises ModelError where the sampler cannot run the model whose saved settings are `own`. place: for the message."""
    prediction = prediction_of(own)
    if prediction not in _PREDICTIONS:
        raise ModelError(f"{place}: scheduler: prediction_type {prediction!r} is none of {', '.join(_PREDICTIONS)}")
    if prediction == "flow_prediction" and name != "model" and name not in _FLOW:
        raise ModelError(
            f"scheduler: {name} cannot run a flow-matching model, which {place} is; set it to {' or '.join(_FLOW)}"
        )


def make_scheduler(own: Any, name: Scheduler) -> Any:
    """diffusers' sampler of that name with the settings of `own`, the one saved with the weights."""
    if name == "model":
        return own
    import diffusers

    return getattr(diffusers, _CLASSES[name]).from_config(own.config)


def saved_scheduler(settings: Mapping[str, Any], place: object) -> Any:
    """The sampler that a model was saved with. Raises ModelError where its class is none of diffusers' samplers."""
    import diffusers

    settings = sampled_by_unipc(settings)
    name = str(settings.get("_class_name", "DDIMScheduler"))
    kind = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    if kind is None:
        raise ModelError(
            f"{place}: scheduler: {name} is none of diffusers' samplers; set `_class_name` in its settings"
        )
    return kind.from_config(dict(settings))


def sampled_by_unipc(scheduler: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings of a flow-matching scheduler as UniPC's, which these networks can run with; others as they are."""
    if not str(scheduler.get("_class_name")).startswith("FlowMatch"):
        return scheduler
    return {
        "_class_name": "UniPCMultistepScheduler",
        "num_train_timesteps": scheduler.get("num_train_timesteps", 1000),
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
        "flow_shift": scheduler.get("shift", 1.0),
    }
