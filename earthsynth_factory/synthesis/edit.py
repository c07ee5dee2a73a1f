"""Real pictures, changed in places by a ControlNet: what was pasted settles in, the rest stays as it was.

Image-to-image in the manner of SDEdit (arXiv 2108.01073) on the weights that `controlnet` takes. What the autoencoder loses
of a picture is given back, so that texture stays (ours): `D(z') + (x - D(E(x)))`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.domain.condition import Condition
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.sample import Image
from earthsynth_factory.domain.spec import Field
from earthsynth_factory.geometry.blending import blended, feathered
from earthsynth_factory.geometry.windows import Window, stitched, windows_of
from earthsynth_factory.io.provenance import DigitalSource
from earthsynth_factory.synthesis.collage import composed_picture
from earthsynth_factory.synthesis.controlnet import ControlNetGenerator, ControlNetSpec

Where = Literal["objects", "around", "background", "all"]


class EditSpec(ControlNetSpec):
    """A picture of the source, changed. Every source must give pictures (`pictures: true`)."""

    digital_source: ClassVar[DigitalSource] = DigitalSource.EDITED
    needs_pictures: ClassVar[bool] = True
    any_size: ClassVar[bool] = True

    kind: Literal["edit"] = "edit"  # type: ignore[assignment]  # as every generator has its own
    strength: float = Field(default=0.4, gt=0, le=1)
    """How far an image may go from its picture: the noise it is brought to before the model takes it away again, as a share
    of the way to noise alone. The same share of the denoising steps is run, one at the least."""
    where: Where = "objects"
    """What may change: `objects` that were put in (of a `dataset` source: all objects) with their rim, a ring `around` them,
    the `background` of all objects, or `all`."""
    rim: int = Field(default=6, ge=1, le=256)
    """Pixels around objects that change with them, or of the ring."""
    feather: int = Field(default=4, ge=0, le=256)
    """Pixels over which a change sets in, inside of what may change."""
    residual: bool = True
    """Give back what the autoencoder loses of a picture, so that its texture stays."""

    def build(self, context: StageContext) -> EditGenerator:
        return EditGenerator(self, context)


class EditGenerator(ControlNetGenerator):
    """See `EditSpec`. A picture larger than the model's native size is changed window by window, from one field of noise;
    windows in which nothing may change are left out."""

    _spec: EditSpec

    @property
    def reach(self) -> int:
        return self._spec.rim

    def generate(self, conditions: Sequence[Condition], seeds: Sequence[int]) -> list[Image]:
        shares = [self._share(condition) for condition in conditions]
        windows = [self._windows(share) for share in shares]
        parts = iter(self._parts(conditions, seeds, windows))
        return [
            _edited(composed_picture(condition), share, there, [next(parts) for _ in there])
            for condition, share, there in zip(conditions, shares, windows, strict=True)
        ]

    def describe(self) -> Mapping[str, Any]:
        spec = self._spec
        return {**super().describe(), "kind": "edit", "strength": spec.strength, "where": spec.where}

    def _parts(
        self, conditions: Sequence[Condition], seeds: Sequence[int], windows: Sequence[Sequence[Window]]
    ) -> list[Image]:
        """Every window of every picture, changed."""
        import torch

        from earthsynth_factory.models.controlnet_pipeline import Asked, Pictures

        masks, instances, shown, own, pixels, noise = [], [], [], [], [], []
        for condition, seed, there in zip(conditions, seeds, windows, strict=True):
            if not there:
                continue
            field = self._noise(condition, seed)
            for window in there:
                masks.append(condition.mask[window.place])
                instances.append(condition.instances[window.place])
                shown.append(condition)
                own.append(seed)
                pixels.append(composed_picture(condition)[window.place])
                noise.append(field[(slice(None), *self._cells(window))])
        if not masks:
            return []
        begun = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
        pictures = Pictures(begun, torch.stack(noise), self._spec.strength, self._spec.residual)
        prompts, negatives = [one.prompt for one in shown], self._negatives(shown)
        controls = self._control_images(masks, instances)
        return self._pipeline.generate(Asked(controls, prompts, negatives, own, pictures))

    def _windows(self, share: npt.NDArray[np.float32]) -> list[Window]:
        height, width = share.shape
        side = max(height, width) if self._spec.windows is False else self._card.native_size
        windows = windows_of((height, width), side, self._pipeline.factor)
        return [window for window in windows if share[window.place].any()]

    def _noise(self, condition: Condition, seed: int) -> Any:
        """One field for the whole picture, (C, h, w), so that windows agree where they overlap."""
        import torch

        height, width = condition.mask.shape
        generator = torch.Generator("cpu").manual_seed(seed)
        return torch.randn(self._pipeline.latent_shape(height, width), generator=generator)

    def _cells(self, window: Window) -> tuple[slice, slice]:
        rows, columns = (slice(s.start // self._pipeline.factor, s.stop // self._pipeline.factor) for s in window.place)
        return rows, columns

    def _share(self, condition: Condition) -> npt.NDArray[np.float32]:
        spec = self._spec
        return feathered(may_change(condition, spec.where, spec.rim), spec.feather)


def _edited(picture: Image, share: npt.NDArray[np.float32], windows: Sequence[Window], parts: Sequence[Image]) -> Image:
    """The picture (H, W, 3) with its windows changed by the share (H, W) of the change that is seen."""
    return blended(picture, stitched(picture, windows, parts), share) if windows else picture


def may_change(condition: Condition, where: Where, rim: int) -> npt.NDArray[np.bool_]:
    """(H, W) which pixels an edit may touch."""
    put_in = condition.changed if condition.changed is not None and condition.changed.any() else condition.instances > 0
    if where == "all":
        return np.ones(condition.mask.shape, bool)
    if where == "background":
        return np.asarray(condition.instances == 0)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    wide = cv2.dilate(put_in.astype(np.uint8), disc) > 0
    return np.asarray(wide & ~put_in if where == "around" else wide)
