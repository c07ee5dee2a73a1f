"""The finished model as folders that diffusers and `build` load, with its card for machines and for people.

A ControlNet alone: OUT/model is its folder (`model: {base: …, controlnet: OUT/model}`). With a changed UNet: OUT/model is a
whole pipeline (`model: OUT/model`), low-rank updates folded in and, beside it, in a file of their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from earthsynth_factory.io.atomic import disk_error, write_bytes
from earthsynth_factory.models.card import CARD_FILE
from earthsynth_factory.training.checkpoint import write_tensors
from earthsynth_factory.training.controlnet import lora
from earthsynth_factory.training.controlnet.setup import TrainingSetup
from earthsynth_factory.training.controlnet.validation import ValidationResult, make_pipeline

LORA_FILE = "pytorch_lora_weights.safetensors"


def export_model(setup: TrainingSetup, out: Path, step: int, result: ValidationResult | None) -> Path:
    """Writes OUT/model from the averaged weights and gives it. Raises DiskError if the disk refuses."""
    folder, trainer = out / "model", setup.trainer
    trainer.average.swap(trainer.learning)
    try:
        _save(setup, folder)
    except OSError as error:
        raise disk_error(folder, error) from error
    finally:
        trainer.average.swap(trainer.learning)
    write_bytes(folder / CARD_FILE, (setup.card.model_dump_json(indent=1) + "\n").encode())
    write_bytes(folder / "card.md", _described(setup, out, step, result).encode())
    return folder


def _save(setup: TrainingSetup, folder: Path) -> None:
    if setup.recipe.model.train == "controlnet":
        setup.trainer.denoiser.control.save_pretrained(folder, safe_serialization=True)
        return
    make_pipeline(setup).save_pretrained(folder, safe_serialization=True)
    updates = lora.export_lora(setup.trainer.denoiser.unet)
    if updates:
        write_tensors(folder / "lora" / LORA_FILE, updates, {"rank": setup.recipe.model.lora_rank})


def how_to_use(setup: TrainingSetup, folder: str) -> str:
    """The `model:` line for a recipe that builds with it, wherever that lies. folder: how it calls the model's."""
    spec, folder = setup.recipe.model, json.dumps(folder, ensure_ascii=False)  # quoted as YAML reads it too
    if spec.train != "controlnet":
        return f"model: {folder}"
    # A folder's path began at the training's recipe; what came from the hub lies under another name.
    found = setup.base.files.place
    pinned = "" if spec.base_revision == "main" else f", base_revision: {spec.base_revision}"
    base = json.dumps(str(found), ensure_ascii=False) if found.name == Path(spec.base).name else f"{spec.base}{pinned}"
    return f"model: {{base: {base}, controlnet: {folder}}}"


def _described(setup: TrainingSetup, out: Path, step: int, result: ValidationResult | None) -> str:
    recipe, card = setup.recipe, setup.card
    mode = recipe.cf_comp.mode
    lines = [
        f"# {card.name}",
        "",
        f"Licence: {card.licence}. Base: {recipe.model.base}. Trained: {recipe.model.train}, from {recipe.model.controlnet}.",
        f"Control image: {card.control}, {card.native_size} px. Prompt: {card.prompt_template}",
        f"{step} steps of {recipe.optim.batch * recipe.optim.accumulate * setup.trainer.team.world} samples, seed "
        f"{recipe.seed}; CF-Comp: {mode}. The whole recipe: {os.path.relpath(out / 'recipe.json', out / 'model')}.",
        "",
        "Use it in a recipe:",
        "",
        f"    synthesis: {{{how_to_use(setup, '<this folder>')}}}",
        "",
        "Training data:",
        *(f"- {name}" for name in card.training_data),
        "",
        *_measured(result, held_out=bool(setup.dataset.held_out)),
    ]
    if result and result.picture:
        lines += ["", f"![mask, drawn image, overlay, real image]({os.path.relpath(result.picture, out / 'model')})"]
    return "\n".join(lines) + "\n"


def _measured(result: ValidationResult | None, held_out: bool) -> list[str]:
    if result is None or not result.numbers:
        return ["Nothing was measured."]
    where = "held-out scenes" if held_out else "training scenes (none were held out)"
    return [f"Measured on {where}:", "", "| | |", "|---|---|", *_rows(result.numbers)]


def _rows(numbers: Mapping[str, float]) -> list[str]:
    return [f"| {name} | {value:.4f} |" for name, value in sorted(numbers.items())]
