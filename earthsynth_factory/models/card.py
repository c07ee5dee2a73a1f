"""A model's card: what a pipeline must be told to use the weights as they were trained. No torch here."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from earthsynth_factory.domain.templates import check_template
from earthsynth_factory.errors import ModelError
from earthsynth_factory.models.safetensors_file import unreadable

CARD_FILE = "card.json"
MAX_CARD_BYTES = 1 << 20

Scheduler = Literal[
    "model", "unipc", "dpm++", "dpm++-karras", "dpm++-sde", "ddim", "euler", "euler-a", "heun", "lcm", "tcd"
]
"""Samplers by short name; `model` is the one saved with the weights."""


class ModelCard(BaseModel):
    """How a ControlNet pipeline wants its inputs, and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    name: str
    control: Literal["class-id", "palette"]
    """Control image: `class-id` repeats the raw id in R, G, B (EarthSynth); `palette` uses the taxonomy's colours."""
    native_size: int = Field(gt=0)
    """Side in pixels of the images it was trained on."""
    prompt_template: str = "A satellite image of {classes}"
    scales: tuple[tuple[float, str], ...] = ()
    """(upper bound in metres per pixel, word) for `{scale}` in the template, ascending."""
    categories: tuple[int, ...] | None = None
    """Class ids it has seen; None if that is unknown."""
    scheduler: Scheduler = "unipc"
    steps: int = Field(default=20, gt=0)
    guidance: float = Field(default=7.5, ge=0)
    licence: str = "unknown"
    training_data: tuple[str, ...] = ()

    @field_validator("prompt_template")
    @classmethod
    def _has_classes(cls, template: str) -> str:
        check_template(template)
        return template

    def digest(self) -> str:
        """sha256 of all that it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_card(folder: Path) -> ModelCard | None:
    """The card in a model folder, or None if there is none. Raises ModelError if it is damaged."""
    path = folder / CARD_FILE
    if not path.is_file() and not path.is_symlink():
        return None
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise ModelError(f"{path}: {path.stat().st_size} bytes is too large for a model card; is it another file?")
        return ModelCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))} {one['msg']}" for one in error.errors()[:4])
        raise ModelError(f"{path}: not a model card: {faults}") from error
