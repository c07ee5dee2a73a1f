"""The base of every recipe block: frozen, and strict about unknown keys.

A block sits beside the class it configures (`rfilter/clip_score.py` holds its block and its code). Fields that do not
decide pixels or labels are marked with `NOT_IN_FINGERPRINT`, so that changing them does not make another dataset.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

NOT_IN_FINGERPRINT: dict[str, Any] = {"fingerprint": False}
"""For `Field(json_schema_extra=NOT_IN_FINGERPRINT)`."""


class Spec(BaseModel):
    """A frozen block of a recipe. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _parse_span(value: Any) -> Any:
    """`3` → (3, 3), `2..12` → (2, 12), `[2, 12]` → (2, 12); what is none of these is left for pydantic to refuse."""
    if isinstance(value, bool):
        raise ValueError("write a number, `low..high` or [low, high]")
    if isinstance(value, int | float):
        return (value, value)
    if isinstance(value, str):
        low, dots, high = value.partition("..")
        try:
            return (float(low), float(high if dots else low))
        except ValueError:
            raise ValueError("write a number, `low..high` or [low, high]") from None
    return value


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"the lower end {value[0]:g} exceeds the upper end {value[1]:g}; swap them")
    return value


_SPAN_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "pattern": r"^-?[0-9.]+(\.\.-?[0-9.]+)?$"},
        {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    ]
}


Span = Annotated[
    tuple[float, float], BeforeValidator(_parse_span), AfterValidator(_ordered), WithJsonSchema(_SPAN_SCHEMA)
]
"""A closed range of numbers: `3`, `2..12` or `[2, 12]` in a recipe."""

CountSpan = Annotated[
    tuple[int, int], BeforeValidator(_parse_span), AfterValidator(_ordered), WithJsonSchema(_SPAN_SCHEMA)
]
"""A closed range of whole numbers, written like a `Span`."""

__all__ = ["NOT_IN_FINGERPRINT", "CountSpan", "Field", "Span", "Spec"]
