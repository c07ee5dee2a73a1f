"""The recipe's block `cf_comp`."""

from __future__ import annotations

from typing import Literal

from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, Field, Span, Spec


class CfCompSpec(Spec):
    """How composed samples are made. The weights are exponents of the three criteria; 0 switches one off."""

    mode: Literal["off", "cf-comp", "random"] = "cf-comp"
    """`off`: real samples alone; `random`: partner and classes drawn blindly, the copy-paste baseline."""
    share: float = Field(default=1 / 3, ge=0, le=0.5)
    """Composed samples as a share of the batch; 1/3 is the paper's figure (8 real, 4 composed). The batch stays as large."""
    image: float = Field(default=1.0, ge=0, le=8)
    """Weight of the image criterion: partners that look different, other datasets first."""
    mask: float = Field(default=1.0, ge=0, le=8)
    """Weight of the mask criterion: pasted regions of a fitting area that cover no objects of the base."""
    text: float = Field(default=1.0, ge=0, le=8)
    """Weight of the text criterion: partners with classes that the base lacks, rare ones first."""
    area: Span = (0.002, 0.6)
    """Share of the scene that pasted regions may take, as low..high; not held if `cf-comp` has `mask` at 0."""
    log: bool = Field(default=False, json_schema_extra=NOT_IN_FINGERPRINT)
    """Write every choice of the first process, with its scores, to OUT/choices.jsonl."""

    def composed(self, batch: int) -> int:
        """How many of `batch` samples are composed; at least two stay real."""
        return 0 if self.mode == "off" else max(0, min(round(batch * self.share), batch - 2))
