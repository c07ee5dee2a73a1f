"""The two folders that ship: a diffusers pipeline and an open_clip model, fp16 safetensors, each with its card."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from diffusers import AutoencoderKL
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTokenizer

from earthsynth_factory.io.atomic import write_bytes
from earthsynth_factory.models.card import CARD_FILE, ModelCard
from research.embedded import networks
from research.embedded.captions import SCALES, TEMPLATE
from research.embedded.clip import DEVIATION, MEAN, configuration
from research.embedded.recipe import ClipSpec

GUIDANCE = 1.0
"""None: the few steps have learnt what guidance gives."""

LICENCE = "research and demonstration"
JUDGES_DATA = (
    "Semantic segmentation of aerial imagery, Dubai (CC0)",
    "KIT AIS vehicles (CC BY 3.0)",
    "NWPU VHR-10 without its infrared images (research use)",
    "GID, five classes (terms unclear)",
)
"""What CLIP and segmenter learn from."""

TRAINING_DATA = (*JUDGES_DATA, "RSSCN7, five of its classes (terms unclear)")
"""What the generator learns from."""


def card(name: str, size: int, categories: tuple[int, ...], steps: int) -> ModelCard:
    """The pipeline's card: what `models.card` reads back."""
    return ModelCard(
        name=name,
        control="palette",
        native_size=size,
        prompt_template=TEMPLATE,
        scales=SCALES,
        categories=categories,
        steps=steps,
        guidance=GUIDANCE,
        licence=LICENCE,
        training_data=TRAINING_DATA,
    )


def save_pipeline(
    folder: Path, modules: dict[str, nn.Module], vae: AutoencoderKL, tokenizer: CLIPTokenizer, model_card: ModelCard
) -> None:
    """Writes a folder that `StableDiffusionControlNetPipeline.from_pretrained` loads, in fp16, and its card.json.

    The modules themselves stay as they are: copies are halved.
    """
    halved = {name: _halved(module) for name, module in modules.items()}
    pipeline = networks.assemble(halved, _halved(vae), tokenizer, model_card.steps)
    pipeline.save_pretrained(folder, safe_serialization=True)
    write_bytes(folder / CARD_FILE, (model_card.model_dump_json(indent=1) + "\n").encode())


def save_clip(folder: Path, model: nn.Module, spec: ClipSpec) -> None:
    """Writes `open_clip_config.json` and `open_clip_model.safetensors` (fp16), the layout open_clip saves for the hub."""
    document = {
        "model_cfg": configuration(spec),
        "preprocess_cfg": {"mean": MEAN, "std": DEVIATION, "interpolation": "bicubic", "resize_mode": "squash"},
    }
    write_bytes(folder / "open_clip_config.json", (json.dumps(document, indent=1) + "\n").encode())
    weights = {
        name: tensor.half().contiguous() for name, tensor in model.state_dict().items() if tensor.is_floating_point()
    }
    part = folder / "open_clip_model.part"
    save_file(weights, part, metadata={"format": "pt"})
    part.replace(folder / "open_clip_model.safetensors")


def _halved(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).cpu().half()
