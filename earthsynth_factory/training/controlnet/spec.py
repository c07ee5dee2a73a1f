"""The recipe of `kind: controlnet` as frozen types."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator

from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, Field, Spec
from earthsynth_factory.domain.taxonomy import EARTHSYNTH_TEMPLATE
from earthsynth_factory.recipe.schema import Workers
from earthsynth_factory.training.cf_comp.spec import CfCompSpec

Trained = Literal["controlnet", "controlnet+unet", "lora", "scratch"]
Tracker = Literal["tensorboard", "wandb", "trackio"]


class DataSpec(Spec):
    """Pairs to learn from: a folder in EarthSynth's layout, as `prepare` writes it."""

    path: str
    """Folder with train.jsonl, images/ and masks/; it starts at the recipe's folder."""
    prompts: Literal["file", "template"] = "file"
    """`file`: real samples keep the text of train.jsonl; `template`: it is written anew from the classes present."""
    template: str | None = None
    """Prompt with {classes} (and {scale}); left out, the base model's own, or EarthSynth's."""
    metres_per_pixel: float = Field(default=0.5, gt=0, lt=1000)
    """Ground sampling distance of items that state none; only a template with {scale} asks for it."""
    variants: int = Field(default=1, ge=1, le=8)
    """How many of the square's eight symmetries of each image are learnt from; each costs its latents' space."""
    held_out: float = Field(default=0.02, ge=0, lt=1)
    """Share of scenes kept for validation if dataset.json names no split but `train`."""
    cache: str | None = Field(default=None, json_schema_extra=NOT_IN_FINGERPRINT)
    """Folder for latents and prompt embeddings, so that runs can share them; left out, OUT/cache."""

    @model_validator(mode="after")
    def _has_classes(self) -> DataSpec:
        if self.template is not None and "{classes}" not in self.template:
            raise ValueError(f"template {self.template!r}: write {{classes}} where the classes are to stand")
        return self

    def template_or(self, own: str | None) -> str:
        """The template that prompts are written by; `own` is the base model's."""
        return self.template or own or EARTHSYNTH_TEMPLATE


class HubControlNet(Spec):
    """A ControlNet on the hub, or in a folder."""

    name: str
    """`owner/name` or a folder."""
    revision: str = "main"
    """Commit, tag or branch."""
    subfolder: str = ""
    """Folder of the ControlNet inside its repository."""


class ModelSpec(Spec):
    """What is trained, and from where it starts."""

    base: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    """Base pipeline in diffusers' layout: `embedded`, a folder, or a hub id."""
    base_revision: str = "main"
    """Commit, tag or branch of the base on the hub."""
    controlnet: str | HubControlNet = "new"
    """`new` (a copy of the UNet's encoder), `earthsynth`, `embedded`, a folder, or {name, revision, subfolder}."""
    control: Literal["class-id", "palette"] | None = None
    """Control image; left out, that of the ControlNet it starts from, else `class-id`, which is EarthSynth's."""
    train: Trained = "controlnet"
    """`controlnet`; `controlnet+unet`; `lora`: with low-rank updates of the UNet; `scratch`: both from random weights."""
    lora_rank: int = Field(default=16, ge=1, le=512)
    """Rank of the updates under `train: lora`."""

    @model_validator(mode="after")
    def _starts_from_nothing(self) -> ModelSpec:
        if self.train == "scratch" and self.controlnet != "new":
            raise ValueError("train: scratch begins with random weights alone; set controlnet: new")
        return self


class LossSpec(Spec):
    """global + local·λ, both mean squared errors of the base model's own objective."""

    local: float = Field(default=0.5, ge=0, le=100)
    """λ, weight of the loss over foreground and pasted cells. The paper names both losses, not this number."""
    min_snr: float | None = Field(default=None, gt=0)
    """γ of min-SNR weighting (Hang et al. 2023), usually 5; left out, every timestep counts alike."""
    prompt_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of samples whose prompt is emptied, for guidance."""
    control_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of samples whose control image is emptied."""


class OptimSpec(Spec):
    """How long, how fast, how many at once."""

    steps: int = Field(default=20_000, gt=0, json_schema_extra=NOT_IN_FINGERPRINT)
    """Updates of the weights."""
    batch: int = Field(default=12, ge=1, le=4096)
    """Samples per process and pass, composed ones included."""
    accumulate: int = Field(default=1, ge=1, le=1024)
    """Passes whose gradients make one update."""
    lr: float = Field(default=1e-5, gt=0)
    """Learning rate of AdamW."""
    warmup: int = Field(default=500, ge=0)
    """Steps of linear rise at the start."""
    schedule: Literal["constant", "cosine"] = "constant"
    """What follows the rise; `cosine` ends at a twentieth."""
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    ema: float = Field(default=0.9999, ge=0, lt=1)
    """Memory of the weights' moving average, which is what is exported; 0 exports the weights themselves."""
    checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third slower."""


class ValidationSpec(Spec):
    """What is looked at while it trains: fixed held-out conditions, fixed seeds."""

    every: int = Field(default=1000, gt=0)
    """Steps between two looks; the last step is always looked at."""
    images: int = Field(default=8, ge=0, le=64)
    """Conditions that are drawn; 0 draws none."""
    loss_samples: int = Field(default=32, ge=0, le=1024)
    """Held-out samples that the loss is measured on."""
    steps: int | None = Field(default=None, gt=0, le=1000)
    """Denoising steps; left out, the model card's."""
    guidance: float | None = Field(default=None, ge=0, le=50)
    """Guidance; left out, the model card's."""


class RunSpec(Spec):
    """How the work is done and kept."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, …"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto`: bfloat16 if the hardware computes in it, else float32. Trained weights are always kept in float32."""
    compile: bool | None = None
    """Compile the networks; by default on a GPU only (on a CPU no gain was measured)."""
    workers: Workers = "auto"
    """Processes that encode the images before the first step; `auto` is one for each GPU, one without. Under a launcher its
    own share the work."""
    loaders: int = Field(default=4, ge=1, le=64)
    """Threads that make batches ready."""
    save_every: int = Field(default=1000, gt=0)
    """Steps between two checkpoints."""
    keep: int = Field(default=2, ge=1, le=100)
    """Checkpoints that are kept."""
    report_every: int = Field(default=10, gt=0)
    """Steps between two lines of the log."""
    trackers: tuple[Tracker, ...] = ("tensorboard",)
    """Where numbers go beside OUT/log.jsonl; one that is not installed is named and left out."""
    max_bad_steps: int = Field(default=10, ge=0)
    """Steps in a row that may be skipped, as their gradient is no number or beyond `norm_bound`, before the run ends."""
    norm_bound: float = Field(default=100, gt=1)
    """Gradients are not taken if their norm is this many times the median of the last hundred taken."""


class ControlNetRecipe(Spec):
    """A training of `kind: controlnet`."""

    kind: Literal["controlnet"] = "controlnet"
    name: Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"\S")] = Field(
        json_schema_extra=NOT_IN_FINGERPRINT
    )
    """What the model is called in its card."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Everything random comes from it."""
    size: int = Field(default=512, ge=16, le=2048, multiple_of=8)
    """Side in pixels; images of other sizes are cut to a centred square and resampled, their masks with them."""
    licence: str = Field(default="unknown", json_schema_extra=NOT_IN_FINGERPRINT)
    """Terms of the trained weights, for the model card: those of the base and of the data bind."""
    data: DataSpec
    model: ModelSpec = ModelSpec()
    cf_comp: CfCompSpec = CfCompSpec()
    loss: LossSpec = LossSpec()
    optim: OptimSpec = OptimSpec()
    validation: ValidationSpec = Field(default=ValidationSpec(), json_schema_extra=NOT_IN_FINGERPRINT)
    run: RunSpec = Field(default=RunSpec(), json_schema_extra=NOT_IN_FINGERPRINT)
