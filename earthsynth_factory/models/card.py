"""A model's card: what a pipeline must be told to use the weights as they were trained. No torch here."""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from earthsynth_factory.domain.templates import check_template
from earthsynth_factory.errors import ModelError
from earthsynth_factory.io.bounded import read_bounded
from earthsynth_factory.models.safetensors_file import unreadable

CARD_FILE = "card.json"
MAX_CARD_BYTES = 1 << 20

Scheduler = Literal[
    "model", "unipc", "dpm++", "dpm++-karras", "dpm++-sde", "ddim", "euler", "euler-a", "heun", "lcm", "tcd"
]
"""Samplers by short name; `model` is the one saved with the weights."""


Line = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A line of text without control characters: cards of strangers are printed, and written into others."""


class ModelCard(BaseModel):
    """How a ControlNet pipeline wants its inputs, and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    name: Line = Field(min_length=1, max_length=200)
    control: Literal["class-id", "palette"]
    """Control image: `class-id` repeats the raw id in R, G, B (EarthSynth); `palette` uses the taxonomy's colours."""
    native_size: int = Field(gt=0, le=16_384)
    """Side in pixels of the images it was trained on."""
    prompt_template: Line = "A satellite image of {classes}"
    scales: tuple[tuple[float, Line], ...] = ()
    """(upper bound in metres per pixel, word) for `{scale}` in the template, ascending."""
    categories: tuple[int, ...] | None = None
    """Class ids it has seen; None if that is unknown."""
    scheduler: Scheduler = "unipc"
    steps: int = Field(default=20, gt=0, le=1000)
    guidance: float = Field(default=7.5, ge=0, le=50)
    licence: Line = "unknown"
    training_data: tuple[Line, ...] = ()

    @field_validator("prompt_template")
    @classmethod
    def _has_classes(cls, template: str) -> str:
        check_template(template)
        return template

    @field_validator("scales")
    @classmethod
    def _ascend(cls, scales: tuple[tuple[float, str], ...]) -> tuple[tuple[float, str], ...]:
        bounds = [bound for bound, _ in scales]
        if any(one >= other for one, other in pairwise(bounds)):
            raise ValueError(f"the bounds {bounds} do not ascend; sort them")
        return scales

    def digest(self) -> str:
        """sha256 of all that it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_card(folder: Path) -> ModelCard | None:
    """The card in a model folder, or None if there is none. Raises ModelError if it is damaged."""
    path = folder / CARD_FILE
    if not path.exists() and not path.is_symlink():
        return None
    try:
        data = read_bounded(path, MAX_CARD_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise ModelError(f"{path}: {error}, no model card; is it another file?") from error
    try:
        return ModelCard.model_validate_json(data.removeprefix(BOM_UTF8))
    except ValidationError as error:
        told = [(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) for one in error.errors()]
        faults = "; ".join(f"{place} {words}".lstrip() for place, words in told[:4])
        raise ModelError(f"{path}: not a model card: {faults}") from error
