"""Edited real scenes: how fast they are put together and changed, and how sharp their seams are.

    python -m tests.benchmarks.edits [--images 32]

Speeds are per second of one core's own time, so that a busy machine does not count; ratios are of one run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import torch

from earthsynth_factory.conditions import scene
from earthsynth_factory.conditions.compose import ComposeSource, ComposeSpec
from earthsynth_factory.domain.condition import Condition, Image
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.labels.from_condition import LabelSpec, map_labels
from earthsynth_factory.synthesis.base import ImageGenerator
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from earthsynth_factory.synthesis.edit import EditSpec
from tests.benchmarks.seams import seam_contrast
from tests.conditions.folders import context, want

SCALE, OBJECTS = 0.25, (2, 8)
STRENGTH = 0.4


def source(cache: Path, **knobs: object) -> ComposeSource:
    """Vehicles of the KIT AIS samples on the tiles of Dubai."""
    block = {"path": "kit_ais", "backgrounds": "dubai", "pictures": True, **knobs}
    return ComposeSpec.model_validate(block).build(context(cache))


def drawn(made: ComposeSource, side: int, count: int) -> list[Condition]:
    """Scenes of `side` pixels."""
    asked = want("small vehicle", height=side, width=side, metres_per_pixel=SCALE, instances=OBJECTS)
    return [made.draw(replace(asked, seed=seed)) for seed in range(count)]


def rate(work: Callable[[], Sequence[object]]) -> float:
    """Things made per second of this process's own time."""
    work()
    started = time.process_time()
    made = len(work())
    return made / (time.process_time() - started)


def generator(edit: bool) -> ImageGenerator:
    """The embedded model, changing pictures or making images from nothing."""
    spec = EditSpec(kind="edit", model="embedded", strength=STRENGTH) if edit else ControlNetSpec(model="embedded")
    made = spec.build(StageContext(earthsynth(), (), Path(), "cpu"))
    made.open()
    return made


def seams(cache: Path, count: int) -> dict[str, float]:
    """Step in lightness at the outlines of what was pasted: as cut, soft, in the light of the place, edited."""
    hard = patch.object(scene, "coverage", lambda shape: shape.astype(np.float32))
    found: dict[str, list[Condition]] = {}
    with hard:
        found["as cut"] = drawn(source(cache, match=0.0), 128, count)
    found["soft edge"] = drawn(source(cache, match=0.0), 128, count)
    found["soft edge and light of the place (the default)"] = drawn(source(cache), 128, count)
    contrast = {
        name: _mean_contrast(conditions, [_picture(c) for c in conditions]) for name, conditions in found.items()
    }
    last = found["soft edge and light of the place (the default)"]
    edited = generator(edit=True).generate(last, list(range(count)))
    return {**contrast, f"that, edited at strength {STRENGTH}": _mean_contrast(last, edited)}


def _picture(condition: Condition) -> Image:
    assert condition.picture is not None
    return condition.picture


def _mean_contrast(conditions: Sequence[Condition], images: Sequence[Image]) -> float:
    steps = [
        seam_contrast(image, condition.instances, np.unique(condition.instances[condition.changed]).tolist())
        for condition, image in zip(conditions, images, strict=True)
        if condition.changed is not None and condition.changed.any()
    ]
    return float(np.mean(steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=32)
    count = parser.parse_args().images
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        made = source(Path(folder))
        for side, least in ((128, 50), (512, 5)):
            few = max(4, count * 128 // side)
            conditions = drawn(made, side, few)
            put = rate(lambda side=side, few=few: drawn(made, side, few))  # type: ignore[misc]
            whole = rate(lambda c=conditions: [_kept(one) for one in c])  # type: ignore[misc]
            print(f"collage, {side} px: {put:.1f} images/s of a core put together (asked: {least}), "
                  f"{1 / (1 / put + 1 / whole):.1f} with labels and PNG files")  # fmt: skip
            several = conditions[: max(2, few // 4)]
            seeds = list(range(len(several)))
            edit, nothing = generator(edit=True), generator(edit=False)
            edited = rate(lambda g=edit, c=several, s=seeds: g.generate(c, s))  # type: ignore[misc]
            new = rate(lambda g=nothing, c=several, s=seeds: g.generate(c, s))  # type: ignore[misc]
            print(f"edit at {STRENGTH}, {side} px: {new / edited:.2f} × the time of an image from nothing "
                  f"({edited:.2f} and {new:.2f} images/s)")  # fmt: skip
        for name, step in seams(Path(folder), count).items():
            print(f"step in lightness at the seam, {name}: {step:.2f}")


def _kept(condition: Condition) -> bytes:
    map_labels(condition, LabelSpec(), earthsynth())
    return encode_png(_picture(condition))


if __name__ == "__main__":
    main()
