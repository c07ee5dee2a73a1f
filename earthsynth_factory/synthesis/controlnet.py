"""Images by a ControlNet on Stable Diffusion: EarthSynth's, the embedded one, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, Field
from earthsynth_factory.domain.taxonomy import Taxonomy
from earthsynth_factory.models.card import ModelCard, Scheduler
from earthsynth_factory.models.registry import TwoPartModel, card_of, files_of
from earthsynth_factory.synthesis.base import GeneratorSpec, ImageGenerator

BATCH = 16

CPU_PIXELS = 4 * 512**2


class ControlNetSpec(GeneratorSpec):
    """diffusers' ControlNet pipeline. Numbers that are not given come from the model's card."""

    kind: Literal["controlnet"] = "controlnet"
    model: str | TwoPartModel = "earthsynth"
    """`earthsynth`, `embedded`, a folder in diffusers' layout, or {base, controlnet, subfolder, revision}."""
    steps: int | None = Field(default=None, gt=0, le=1000)
    """Denoising steps."""
    guidance: float | None = Field(default=None, ge=0, le=50)
    """Classifier-free guidance; 1 or less turns it off, which halves the work."""
    scheduler: Scheduler | None = None
    """Sampler; `model` takes the one saved with the weights. EarthSynth's demo uses UniPC."""
    control_scale: float = Field(default=1.0, ge=0, le=4)
    """Strength of the mask's control."""
    negative_prompt: str = ""
    """What guidance leads away from."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 where the hardware has it, else float32 (CPU) or float16 (GPU)."""
    batch: int | None = Field(default=None, gt=0, le=256, json_schema_extra=NOT_IN_FINGERPRINT)
    """Images to a call; by default 16, on a CPU fewer of large ones (4 of 512 pixels). Halved when memory runs out."""
    compile: bool | None = Field(default=None, json_schema_extra=NOT_IN_FINGERPRINT)
    """Compile the networks for fixed shapes; by default off on a CPU (no gain was measured) and on for a GPU."""

    def card(self, base: Path) -> ModelCard:
        return card_of(self.model, base)

    def identity(self, base: Path) -> Mapping[str, str]:
        return files_of(self.model, base).hashes()

    def build(self, taxonomy: Taxonomy, base: Path, device: str) -> ControlNetGenerator:
        return ControlNetGenerator(self, taxonomy, base, device)


def cpu_batch(side: int) -> int:
    """Images to a call on a CPU, from their side in pixels: enough that its cores have work, few enough for its memory."""
    return max(1, min(BATCH, CPU_PIXELS // side**2))


class ControlNetGenerator(ImageGenerator):
    """See `ControlNetSpec`. Not yet opened it holds no weights."""

    def __init__(self, spec: ControlNetSpec, taxonomy: Taxonomy, base: Path, device: str) -> None:
        self.batch = spec.batch or 0
        self._spec = spec
        self._card = spec.card(base)
        self._taxonomy = taxonomy
        self._base = base
        self._device = device

    def open(self) -> None:
        from earthsynth_factory.models import device as devices
        from earthsynth_factory.models.control_image import control_lut
        from earthsynth_factory.models.controlnet_pipeline import load_pipeline
        from earthsynth_factory.models.denoise import Sampling

        spec, card = self._spec, self._card
        device = devices.pick_device(self._device)
        on_gpu = device.type == "cuda"
        dtype = devices.pick_dtype(spec.precision, device)
        sampling = Sampling(
            steps=spec.steps or card.steps,
            guidance=card.guidance if spec.guidance is None else spec.guidance,
            scheduler=spec.scheduler or card.scheduler,
            control_scale=spec.control_scale,
            negative_prompt=spec.negative_prompt,
        )
        compiled = on_gpu if spec.compile is None else spec.compile
        self.batch = spec.batch or (BATCH if on_gpu else cpu_batch(card.native_size))
        files = files_of(spec.model, self._base)
        self._pipeline = load_pipeline(files, device, dtype, sampling, self.batch, compiled)
        self._lut = control_lut(card, self._taxonomy)
        self._facts = {
            "model": card.name,
            "licence": card.licence,
            "training_data": list(card.training_data),
            "steps": sampling.steps,
            "guidance": sampling.guidance,
            "scheduler": type(self._pipeline.pipe.scheduler).__name__,
            "device": str(device),
            "precision": str(dtype).removeprefix("torch."),
        }

    def generate(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> list[Image]:
        from earthsynth_factory.models.control_image import control_images

        control = control_images([condition.mask for condition in conditions], self._lut)
        return self._pipeline.generate(control, [condition.prompt for condition in conditions], seeds)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "controlnet", **self._facts, "batch": self._pipeline.batch, "notes": self._pipeline.reductions}
