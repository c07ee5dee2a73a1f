"""diffusers' samplers by the short names that recipes and cards use, and which of them a model can run. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from earthsynth_factory.errors import ModelError, first_line
from earthsynth_factory.models.card import Scheduler
from earthsynth_factory.models.network_config import SchedulerConfig, config_faults


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler of diffusers. options: its settings if they are not the model's own. flow: it runs flow-matching models.

    sample: it runs models that predict the image itself. few: (steps, guidance) of one that was made for weights distilled to
    few steps, and what a silent recipe gets; most: most steps that it takes.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    flow: bool = False
    sample: bool = True
    few: tuple[int, float] | None = None
    most: int = 1000


SAMPLERS: Mapping[Scheduler, Sampler] = {
    "unipc": Sampler("UniPCMultistepScheduler", flow=True),
    "dpm++": Sampler("DPMSolverMultistepScheduler", flow=True),
    "dpm++-karras": Sampler("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpm++-sde": Sampler("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "ddim": Sampler("DDIMScheduler"),
    "euler": Sampler("EulerDiscreteScheduler"),
    "euler-a": Sampler("EulerAncestralDiscreteScheduler", sample=False),
    "heun": Sampler("HeunDiscreteScheduler"),
    "lcm": Sampler("LCMScheduler", few=(4, 1.0), most=50),
    "tcd": Sampler("TCDScheduler", few=(4, 1.0), most=50),
}
"""By the names of recipes. lcm: arXiv 2310.04378; tcd: arXiv 2402.19159."""

_MOST_TIMES = 100_000
"""Most noise levels that a model may have been trained at: a table of that length is made."""

_PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow_prediction")


def prediction_of(scheduler: Mapping[str, Any]) -> str:
    """What the networks beside these settings were trained to give."""
    if str(scheduler.get("_class_name")).startswith("FlowMatch"):
        return "flow_prediction"
    return str(scheduler.get("prediction_type", "epsilon"))


def check_scheduler(name: Scheduler, steps: int, own: Mapping[str, Any], place: object) -> None:
    """Raises ModelError if the sampler cannot run the model whose saved settings are `own`. place: for the message."""
    if faults := config_faults(own, SchedulerConfig):
        raise ModelError(f"{place}: scheduler: {faults}; fetch the model again")
    prediction = prediction_of(own)
    if prediction not in _PREDICTIONS:
        raise ModelError(f"{place}: scheduler: prediction_type {prediction!r} is none of {', '.join(_PREDICTIONS)}")
    times = own.get("num_train_timesteps", 1000)
    if not steps <= times <= _MOST_TIMES:
        raise ModelError(
            f"{place}: scheduler: num_train_timesteps is {times}; from the {steps} steps that are asked for to "
            f"{_MOST_TIMES} are taken"
        )
    betas = own.get("trained_betas")
    if isinstance(betas, list) and len(betas) != times:
        raise ModelError(
            f"{place}: scheduler: {len(betas)} trained_betas for {times} num_train_timesteps; fetch it again"
        )
    if name == "model":
        return
    sampler = SAMPLERS[name]
    if prediction == "flow_prediction" and not sampler.flow:
        able = " or ".join(other for other, one in SAMPLERS.items() if one.flow)
        raise ModelError(f"scheduler: {name} cannot run a flow-matching model, which {place} is; set it to {able}")
    if prediction == "sample" and not sampler.sample:
        raise ModelError(
            f"scheduler: {name} cannot run a model that predicts the image itself, which {place} is; set unipc"
        )
    if steps > sampler.most:
        raise ModelError(f"scheduler: {name} takes up to {sampler.most} steps, not {steps}; it is made for 4 to 8")


def make_scheduler(own: Any, name: Scheduler) -> Any:
    """diffusers' sampler of that name with the settings of `own`, the one saved with the weights. Raises ModelError."""
    if name == "model":
        return own
    sampler = SAMPLERS[name]
    return _built(sampler.kind, {**own.config, **sampler.options}, type(own).__name__)


def saved_scheduler(settings: Mapping[str, Any], place: object) -> Any:
    """The sampler that a model was saved with. Raises ModelError if diffusers has no such sampler."""
    settings = sampled_by_unipc(settings)
    return _built(str(settings.get("_class_name", "DDIMScheduler")), settings, place)


def check_steps(scheduler: Any, steps: int, place: object) -> None:
    """Raises ModelError if a sampler cannot lay out this many steps with its settings."""
    try:
        scheduler.set_timesteps(steps)
    except Exception as error:  # each sampler has its own words for settings that it does not know
        kind = type(scheduler).__name__
        raise ModelError(
            f"{place}: scheduler: {kind} cannot run {steps} steps with the model's settings: {first_line(error)}"
        ) from error


def _built(name: str, settings: Mapping[str, Any], place: object) -> Any:
    import diffusers

    kind = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    try:
        made = kind.from_config(dict(settings)) if kind and hasattr(kind, "step") else None
        driven = hasattr(made, "init_noise_sigma") and _takes_a_step_as_ours(made)
    except Exception as error:  # as in `check_steps`; some need a package that is not here
        raise ModelError(f"{place}: scheduler: {name} does not take its settings: {first_line(error)}") from error
    if not driven:
        raise ModelError(
            f"{place}: scheduler: {name} is none of diffusers' samplers; set `_class_name` in its settings"
        )
    return made


def _takes_a_step_as_ours(scheduler: Any) -> bool:
    """Whether a step asks for no more than what the network gave, the time and the sample: some are for other loops."""
    given = signature(scheduler.step).parameters.values()
    asked = {one.name for one in given if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD}
    return asked <= {"model_output", "timestep", "sample"} and hasattr(scheduler, "scale_model_input")


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
