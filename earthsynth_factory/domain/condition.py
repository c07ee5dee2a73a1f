"""A condition: what an image is to show. The generator draws it, the labels are read from it.

Shapes: H, W are rows and columns in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.masks import present_classes, run_starts
from earthsynth_factory.domain.taxonomy import BACKGROUND, IGNORE

Mask = npt.NDArray[np.uint8]
"""(H, W) class ids, 0–254, and `IGNORE` where nothing is known: no class of any image, and drawn as background."""

InstanceMap = npt.NDArray[np.uint16]
"""(H, W) instance ids; 0 is no instance."""

Image = npt.NDArray[np.uint8]
"""(H, W, 3) sRGB, 0–255."""

Changed = npt.NDArray[np.bool_]
"""(H, W) True if a picture no longer shows what its source showed there."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a condition came from. `group` is what a split must not divide (a source image, a layout family)."""

    source: str
    group: str
    detail: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Condition:
    """One class-id mask with the instances in it, the prompt and the scale.

    mask: (H, W) uint8 class ids. instances: (H, W) uint16; all pixels of an instance have one class, not background.
    known_instances: False if the source has no instance ids of its own; the labels then take connected components.
    visible: instance id → share of the object that neither occlusion nor the border hides, in (0, 1]; 1 if not named.
    metres_per_pixel: ground sampling distance. seed: what the source drew it from. control: (H, W) uint8, what the model is
    shown in place of the mask; None: the mask.
    picture: (H, W, 3) uint8, the picture to start from, if the source has pictures. changed: (H, W) bool, which of its
    pixels are new; given with a picture and only then. ground: (H, W, 3) uint8, the picture before anything was put in.
    negative_prompt: what its image is led away from; None: what the recipe's generator says. twin: the other scene of a pair,
    if a pair was asked for.

    Raises ValueError if shapes, dtypes or the one-class rule are broken: a defect of a source, not of a user.
    """

    mask: Mask
    instances: InstanceMap
    prompt: str
    metres_per_pixel: float
    seed: int
    origin: Origin
    known_instances: bool = True
    visible: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    picture: Image | None = None
    changed: Changed | None = None
    control: Mask | None = None
    negative_prompt: str | None = None
    ground: Image | None = None
    twin: Condition | None = None

    @property
    def shown(self) -> Mask:
        """(H, W) what the model is shown."""
        return self.mask if self.control is None else self.control

    def __post_init__(self) -> None:
        if self.mask.ndim != 2 or self.mask.dtype != np.uint8:
            raise ValueError(f"mask must be (H, W) uint8, not {self.mask.shape} {self.mask.dtype}")
        if self.instances.shape != self.mask.shape or self.instances.dtype != np.uint16:
            raise ValueError(
                f"instances must be {self.mask.shape} uint16, not {self.instances.shape} {self.instances.dtype}"
            )
        self._check_picture()
        self.instance_classes()

    def _check_picture(self) -> None:
        if (self.picture is None) != (self.changed is None):
            raise ValueError("a picture comes with the map of what is new in it, and that map with a picture")
        shape = (*self.mask.shape, 3)
        if self.picture is not None and (self.picture.shape != shape or self.picture.dtype != np.uint8):
            raise ValueError(f"picture must be {shape} uint8, not {self.picture.shape} {self.picture.dtype}")
        if self.changed is not None and (self.changed.shape != self.mask.shape or self.changed.dtype != np.bool_):
            raise ValueError(f"changed must be {self.mask.shape} bool, not {self.changed.shape} {self.changed.dtype}")

    def classes(self) -> list[int]:
        """Class ids present, ascending, without background and what is ignored."""
        return list(self._classes)

    @cached_property
    def _classes(self) -> list[int]:
        return present_classes(self.mask)  # labels, prompts and rules all ask

    def instance_classes(self) -> dict[int, int]:
        """Instance id → class id, ascending by instance id."""
        starts = run_starts(self.instances, self.mask)
        numbers, classes = self.instances.ravel()[starts], self.mask.ravel()[starts]
        inside = numbers > 0
        pairs = np.unique(numbers[inside].astype(np.uint32) << 8 | classes[inside])
        found = {int(pair >> 8): int(pair & 255) for pair in pairs}
        if len(found) != len(pairs):
            raise ValueError(f"an instance of {self.origin} covers more than one class")
        if {BACKGROUND, IGNORE} & set(found.values()):
            raise ValueError(f"an instance of {self.origin} lies on background, or where nothing is known")
        return found
