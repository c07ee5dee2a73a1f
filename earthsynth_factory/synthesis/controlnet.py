"""Images by a ControlNet on Stable Diffusion: EarthSynth's, the embedded one, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, Field
from earthsynth_factory.models.card import ModelCard, Scheduler
from earthsynth_factory.models.inspection import check_size
from earthsynth_factory.models.registry import TwoPartModel, at_hand, card_of, files_of, found_elsewhere
from earthsynth_factory.models.schedulers import check_scheduler
from earthsynth_factory.synthesis.base import GeneratorSpec, ImageGenerator

GPU_BATCH, BATCH = 32, 16
"""Images to a call by default, on a GPU and at the most on a CPU: measured, see tests/benchmarks/README.md."""

CPU_PIXELS = 4 * 512**2


class ControlNetSpec(GeneratorSpec):
    """diffusers' ControlNet pipeline. Numbers that are not given come from the model's card."""

    kind: Literal["controlnet"] = "controlnet"
    model: str | TwoPartModel = "earthsynth"
    """`earthsynth`, `embedded`, a folder in diffusers' layout, or {base, controlnet, subfolder, revision}: see models/."""
    steps: int | None = Field(default=None, gt=0, le=1000)
    """Denoising steps."""
    guidance: float | None = Field(default=None, ge=0, le=50)
    """Classifier-free guidance; 1 or less turns it off, which halves the work."""
    scheduler: Scheduler | None = None
    """Sampler; `model` takes the one saved with the weights. EarthSynth's demo uses UniPC."""
    control_scale: float = Field(default=1.0, ge=0, le=4)
    """Strength of the mask's control."""
    control_end: float = Field(default=1.0, gt=0, le=1)
    """Share of the steps after which the mask's control is left out, which saves a quarter of a step's work."""
    guidance_end: float = Field(default=1.0, ge=0, le=1)
    """Share of the steps after which guidance is left out, which halves a step's work."""
    negative_prompt: str = ""
    """What guidance leads away from."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 where the hardware has it, else float32 (CPU) or float16 (GPU)."""
    batch: int | None = Field(default=None, gt=0, le=256, json_schema_extra=NOT_IN_FINGERPRINT)
    """Images to a call; by default 32 on a GPU, 16 on a CPU, fewer of large ones there. Halved when memory runs out."""
    compile: bool | None = Field(default=None, json_schema_extra=NOT_IN_FINGERPRINT)
    """Compile the networks for fixed shapes; by default off on a CPU (no gain was measured) and on for a GPU, where it takes
    about 75 s at the start and pays from some 800 images on."""

    def card(self, base: Path) -> ModelCard:
        return card_of(self.model, base)

    def identity(self, base: Path) -> Mapping[str, str]:
        files, card = files_of(self.model, base), self.card(base)
        steps, guidance, scheduler = self.sampled(card)
        return {
            **files.hashes(),
            "card": card.digest(),
            "sampling": f"{steps} steps, guidance {guidance:g}, scheduler {scheduler}",
        }

    def sampled(self, card: ModelCard) -> tuple[int, float, Scheduler]:
        """Steps, guidance and scheduler: the recipe's, else the card's."""
        guidance = card.guidance if self.guidance is None else self.guidance
        return self.steps or card.steps, guidance, self.scheduler or card.scheduler

    def card_at_hand(self, base: Path) -> ModelCard | None:
        return self.card(base) if self.model == "earthsynth" or at_hand(self.model, base) else None

    def check(self, base: Path, size: tuple[int, int]) -> None:
        if at_hand(self.model, base):
            model, _ = files_of(self.model, base).inspect()
            check_scheduler(self.sampled(self.card(base))[2], model.scheduler, model.place)
            check_size(model, size)

    def build(self, context: StageContext) -> ControlNetGenerator:
        return ControlNetGenerator(self, context)


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
        from earthsynth_factory.models.controlnet_pipeline import load_pipeline
        from earthsynth_factory.models.denoise import Sampling

        spec, card = self._spec, self._card
        device = devices.pick_device(self._device)
        on_gpu = device.type == "cuda"
        dtype = devices.pick_dtype(spec.precision, device)
        steps, guidance, scheduler = spec.sampled(card)
        sampling = Sampling(
            steps=steps,
            guidance=guidance,
            scheduler=scheduler,
            control_scale=spec.control_scale,
            control_end=spec.control_end,
            guidance_end=spec.guidance_end,
            negative_prompt=spec.negative_prompt,
        )
        compiled = on_gpu if spec.compile is None else spec.compile
        self.batch = spec.batch or (GPU_BATCH if on_gpu else cpu_batch(card.native_size))
        files = files_of(spec.model, self._base)
        model, _ = files.inspect()
        check_scheduler(scheduler, model.scheduler, model.place)
        self._pipeline = load_pipeline(files, device, dtype, sampling, self.batch, compiled)
        self._pipeline.on_step = self.on_step
        self._found = found_elsewhere(spec.model, files)
        self._lut = control_lut(card, self._taxonomy)
        self._facts = {
            "model": card.name,
            "controlnet": f"found in {files.inside or 'the root'}",
            "licence": card.licence,
            "training_data": list(card.training_data),
            "steps": sampling.steps,
            "guidance": sampling.guidance,
            "scheduler": type(self._pipeline.pipe.scheduler).__name__,
            **{name: end for name in ("control_end", "guidance_end") if (end := getattr(spec, name)) < 1},
            "device": str(device),
            "precision": str(dtype).removeprefix("torch."),
        }

    def generate(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> list[Image]:
        from earthsynth_factory.models.control_image import control_images

        control = control_images([condition.shown for condition in conditions], self._lut)
        return self._pipeline.generate(control, [condition.prompt for condition in conditions], seeds)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "controlnet", **self._facts, "batch": self._pipeline.batch, "notes": self._pipeline.reductions}

    def notes(self) -> Sequence[str]:
        return [*self._found, *self._pipeline.notes()]
