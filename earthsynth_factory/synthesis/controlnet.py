"""Images by a ControlNet on Stable Diffusion: EarthSynth's, the embedded one, or the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from earthsynth_factory.domain.condition import Condition, InstanceMap, Mask
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, Field
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.card import ModelCard, Scheduler
from earthsynth_factory.models.hub import HubRepository, cached, vae_repository
from earthsynth_factory.models.inspection import check_size
from earthsynth_factory.models.registry import (
    ModelFiles,
    TwoPartModel,
    at_hand,
    card_of,
    files_of,
    found_elsewhere,
    if_on_hub,
    repositories,
    vae_of,
)
from earthsynth_factory.models.schedulers import SAMPLERS, check_scheduler
from earthsynth_factory.synthesis.base import GeneratorSpec, ImageGenerator
from earthsynth_factory.synthesis.beside import ControlSpec, LoraSpec, StyleSpec

if TYPE_CHECKING:
    from torch import Tensor

GPU_BATCH, BATCH = 32, 16
"""Images to a call by default, on a GPU and at the most on a CPU: measured, see tests/benchmarks/README.md."""

WHOLE = 1.5
"""Times the model's own size that an image may be to be made as a whole, unless the recipe says otherwise."""

CPU_PIXELS = 4 * 512**2


class ControlNetSpec(GeneratorSpec):
    """diffusers' ControlNet pipeline. Numbers that are not given come from the model's card."""

    kind: Literal["controlnet"] = "controlnet"
    model: str | TwoPartModel = "earthsynth"
    """`earthsynth`, `embedded`, a folder in diffusers' layout, which may lie at an s3://bucket/folder, or {base, controlnet,
    subfolder, revision}: see models/."""
    steps: int | None = Field(default=None, gt=0, le=1000)
    """Denoising steps."""
    guidance: float | None = Field(default=None, ge=0, le=50)
    """Classifier-free guidance; 1 or less turns it off, which halves the work."""
    scheduler: Scheduler | None = None
    """Sampler; `model` takes the one saved with the weights. EarthSynth's demo uses UniPC. `lcm` and `tcd` want weights
    distilled for them, as most LoRAs of few steps are, and make a recipe that is silent take 4 steps without guidance."""
    control_scale: float = Field(default=1.0, ge=0, le=4)
    """Strength of the mask's control."""
    control_end: float = Field(default=1.0, gt=0, le=1)
    """Share of the steps after which the mask's control is left out, which saves a quarter of a step's work."""
    guidance_end: float = Field(default=1.0, ge=0, le=1)
    """Share of the steps after which guidance is left out, which halves a step's work."""
    controls: tuple[ControlSpec, ...] = Field(default=(), max_length=7)
    """ControlNets beside the model's own."""
    loras: tuple[LoraSpec, ...] = Field(default=(), max_length=16)
    """Low-rank updates of the weights, fused."""
    style: StyleSpec | None = None
    """Pictures as prompts, for their style."""
    vae: str | None = Field(default=None, min_length=1)
    """An autoencoder in place of the model's: a folder, a .safetensors file, or a hub id. Its latents must be of one kind."""
    negative_prompt: str = ""
    """What guidance leads away from; a category's own stands in its place."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 if the hardware has it, else float32 (CPU) or float16 (GPU)."""
    windows: bool | None = None
    """Whether a larger image is made in overlapping windows of the model's own size, which are denoised together, so that no
    seam shows; by default if it is larger than 1.5 × that."""
    batch: int | None = Field(default=None, gt=0, le=256, json_schema_extra=NOT_IN_FINGERPRINT)
    """Images to a call; by default 32 on a GPU, 16 on a CPU, fewer of large ones there. Halved when memory runs out."""
    compile: bool | None = Field(default=None, json_schema_extra=NOT_IN_FINGERPRINT)
    """Compile the networks for fixed shapes; by default off on a CPU (no gain was measured) and on for a GPU, where it takes
    about 75 s at the start and pays from some 800 images on. Not with `attention_slicing` or `offload`."""
    attention_slicing: bool | None = None
    """Self-attention for half of the heads at a time: less memory, slower. For devices without a fused attention, such as
    `mps`; with one it saves nothing. Images differ by up to one level of 255."""
    offload: bool = Field(default=False, json_schema_extra=NOT_IN_FINGERPRINT)
    """For a GPU whose memory does not hold the model: text encoders, UNet with ControlNets, and autoencoder are on it by
    turns, each batch anew, and wait in the machine's memory. Nothing else changes."""

    @model_validator(mode="after")
    def _not_compiled(self) -> ControlNetSpec:
        saving = next((key for key in ("attention_slicing", "offload") if getattr(self, key)), None)
        if saving and self.compile:
            raise ValueError(f"`{saving}` is for networks that are not compiled; leave out one of it and `compile`")
        return self

    def card(self, base: Path) -> ModelCard:
        return card_of(self.model, base)

    def files(self, base: Path) -> ModelFiles:
        """The places of all that is loaded. Raises ModelError if one is not available."""
        return replace(
            files_of(self.model, base),
            more=tuple(control.place(base) for control in self.controls),
            vae=vae_of(self.vae, base) if self.vae else None,
            loras=tuple(lora.place(base) for lora in self.loras),
            style=self.style.place(base) if self.style else None,
        )

    def repositories(self, base: Path) -> Sequence[HubRepository]:
        asked: list[Callable[[], list[HubRepository]]] = [partial(repositories, self.model, base)]
        asked += [partial(control.repositories, base) for control in self.controls]
        asked += [partial(lora.repositories, base) for lora in self.loras]
        asked += [partial(self.style.repositories, base)] if self.style else []
        if self.vae:
            asked.append(partial(if_on_hub, self.vae, base, "vae", vae_repository(self.vae)))
        return _together(asked)

    def weights(self, base: Path) -> Sequence[Path]:
        return [path for part in self.files(base).inspect().parts() for path in part.weights]

    def identity(self, base: Path) -> Mapping[str, str]:
        card = self.card(base)
        steps, guidance, scheduler = self.sampled(card)
        masks = [(number, one) for number, one in enumerate(self.controls, 1) if one.shows == "mask"]
        return {
            **self.files(base).hashes(),
            **{f"controlnet_{number}/card": one.card(base).digest() for number, one in masks},
            "card": card.digest(),
            "sampling": f"{steps} steps, guidance {guidance:g}, scheduler {scheduler}",
        }

    def sampled(self, card: ModelCard) -> tuple[int, float, Scheduler]:
        """Steps, guidance and scheduler: the recipe's, else those of a sampler for few steps, else the card's."""
        scheduler = self.scheduler or card.scheduler
        few = SAMPLERS[scheduler].few if scheduler != "model" and scheduler != card.scheduler else None
        steps, guidance = few or (card.steps, card.guidance)
        return self.steps or steps, guidance if self.guidance is None else self.guidance, scheduler

    def card_at_hand(self, base: Path) -> ModelCard | None:
        return self.card(base) if self.model == "earthsynth" or at_hand(self.model, base) else None

    def check(self, base: Path, size: tuple[int, int]) -> None:
        if self._here(self.repositories(base)):
            model = self.files(base).inspect().base
            steps, _, scheduler = self.sampled(self.card(base))
            check_scheduler(scheduler, steps, model.scheduler, model.place)
            check_size(model, size)

    def guided(self, card: ModelCard) -> bool:
        return self.sampled(card)[1] > 1 and self.guidance_end > 0

    @staticmethod
    def _here(wanted: Sequence[HubRepository]) -> bool:
        return all(cached(one) for one in wanted)

    def doubts(self, base: Path) -> Iterator[tuple[str, str]]:
        if not self._here(self.repositories(base)):
            return
        scheduler = self.sampled(self.card(base))[2]
        unet = self.files(base).inspect().base.unet
        distilled = self.loras or unet.get("time_cond_proj_dim") or scheduler == self.card(base).scheduler
        if scheduler in SAMPLERS and SAMPLERS[scheduler].few and not distilled:
            said = f"{scheduler} draws in few steps with weights distilled for it alone; add its LoRA under `loras`"
            yield "scheduler", said

    def build(self, context: StageContext) -> ControlNetGenerator:
        return ControlNetGenerator(self, context)


def _together(asked: Sequence[Callable[[], list[HubRepository]]]) -> list[HubRepository]:
    """All of them. Raises one ModelError with a line for each that cannot be had."""
    found, faults = [], []
    for ask in asked:
        try:
            found += ask()
        except ModelError as error:
            faults.append(str(error))
    if faults:
        raise ModelError("\n".join(faults))
    return found


def cpu_batch(side: int) -> int:
    """Images to a call on a CPU, from their side in pixels: enough that its cores have work, few enough for its memory."""
    return max(1, min(BATCH, CPU_PIXELS // side**2))


class ControlNetGenerator(ImageGenerator):
    """See `ControlNetSpec`. Not yet opened it holds no weights."""

    def __init__(self, spec: ControlNetSpec, context: StageContext) -> None:
        self.batch = spec.batch or 0
        self._spec = spec
        self._card = spec.card(context.base)
        self._taxonomy = context.taxonomy
        self._base = context.base
        self._device = context.device

    def open(self) -> None:
        from earthsynth_factory.models import device as devices
        from earthsynth_factory.models.control_image import control_lut
        from earthsynth_factory.models.controlnet_pipeline import Layout, load_pipeline
        from earthsynth_factory.models.denoise import Control, Sampling

        spec, card = self._spec, self._card
        device = devices.pick_device(self._device)
        on_gpu = device.type == "cuda"
        dtype = devices.pick_dtype(spec.precision, device)
        steps, guidance, scheduler = spec.sampled(card)
        beside = [Control(control.weight, control.end) for control in spec.controls]
        controls = (Control(spec.control_scale, spec.control_end), *beside)
        sampling = Sampling(steps, guidance, scheduler, controls, spec.guidance_end)
        sliced = bool(spec.attention_slicing)
        compiled = (on_gpu and not sliced and not spec.offload) if spec.compile is None else spec.compile
        self.batch = spec.batch or (GPU_BATCH if on_gpu else cpu_batch(card.native_size))
        files = spec.files(self._base)
        model = files.inspect().base
        check_scheduler(scheduler, steps, model.scheduler, model.place)
        layout = Layout(device, dtype, compiled, sliced, spec.offload)
        self._pipeline = load_pipeline(files, layout, sampling, self.batch)
        self._pipeline.on_step = self.on_step
        self._pipeline.window = None if spec.windows is False else card.native_size
        self._pipeline.whole = card.native_size if spec.windows else int(card.native_size * WHOLE)
        self._found = found_elsewhere(spec.model, files)
        self._lut = control_lut(card, self._taxonomy)
        self._facts = {
            "model": card.name,
            "controlnet": f"found in {files.inside or 'the root'}",
            "licence": card.licence,
            "training_data": list(card.training_data),
            "steps": steps,
            "guidance": guidance,
            "scheduler": type(self._pipeline.pipe.scheduler).__name__,
            **self._asked(files),
            "device": str(device),
            "precision": str(dtype).removeprefix("torch."),
        }

    def _asked(self, files: ModelFiles) -> dict[str, Any]:
        """What the recipe asks for beside the model, as far as it does."""
        spec = self._spec
        found = {
            **{name: end for name in ("control_end", "guidance_end") if (end := getattr(spec, name)) < 1},
            **{name: True for name in ("attention_slicing", "offload") if getattr(spec, name)},
            "negative_prompt": spec.negative_prompt,
            "vae": spec.vae,
            "loras": "; ".join(f"{adapter} × {weight:g}" for _, adapter, weight in files.loras),
            "style": spec.style and f"{spec.style.adapter} × {spec.style.weight:g}, pictures of {spec.style.images}",
            "controls": "; ".join(str(control) for control in spec.controls),
        }
        return {name: value for name, value in found.items() if value}

    def generate(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> list[Image]:
        from earthsynth_factory.models.controlnet_pipeline import Asked

        controls = self._control_images([one.shown for one in conditions], [one.instances for one in conditions])
        prompts = [condition.prompt for condition in conditions]
        return self._pipeline.generate(Asked(controls, prompts, self._negatives(conditions), seeds))

    def _negatives(self, conditions: Sequence[Condition]) -> list[str]:
        own = self._spec.negative_prompt
        return [own if one.negative_prompt is None else one.negative_prompt for one in conditions]

    def _control_images(self, masks: Sequence[Mask], instances: Sequence[InstanceMap]) -> list[Tensor]:
        """For each ControlNet, the mask's first, (B, 3, H, W) in [0, 1]."""
        from earthsynth_factory.models.control_image import control_images

        beside = (one.images(masks, instances, self._base, self._taxonomy) for one in self._spec.controls)
        return [control_images(masks, self._lut), *beside]

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "controlnet", **self._facts, "batch": self._pipeline.batch, "notes": self._pipeline.reductions}

    def notes(self) -> Sequence[str]:
        return [*self._found, *self._pipeline.notes()]
