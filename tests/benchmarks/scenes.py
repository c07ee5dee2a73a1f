"""Large scenes: whether a seam shows where windows meet, in a scene from nothing and in a real one that was changed.

    python -m tests.benchmarks.scenes [--side 1024] [--picture TILE.jpg --labels TILE.png] [--out FOLDER]

The first scene is the map of `recipes/osm_town.yaml`. The second is a picture that is given: with all of it free to change,
so that what windows do to it is seen everywhere. A figure is the mean step in grey value from one row (column) to the next
over the whole scene, at the borders of windows and elsewhere.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.conditions.vector.spec import VectorSpec
from earthsynth_factory.domain.condition import Condition, Image, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.masks import present_classes
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.geometry.windows import windows_of
from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.io.provenance import DigitalSource
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from earthsynth_factory.synthesis.edit import EditSpec
from tests.conditions.folders import context

MODEL_SIDE, CELL = 128, 8
"""Pixels: the embedded model's native size, and a cell of its latents."""


@dataclass(frozen=True)
class Seam:
    """Steps in grey value, 0–255: at the borders of windows, elsewhere, and how far the mean of so many rows may stray."""

    border: float
    elsewhere: float
    stray: float

    @property
    def shows(self) -> bool:
        """Whether borders stand out by more than twice what chance does."""
        return self.border > self.elsewhere + 2 * self.stray


def seam(picture: Image, side: int = MODEL_SIDE, cell: int = CELL) -> Seam:
    """Of an image (H, W, 3) that was made in windows of `side` pixels."""
    height, width = picture.shape[:2]
    windows = windows_of((height, width), side, cell)
    at, elsewhere = [], []
    for axis, edges in ((0, {e for w in windows for e in (w.top, w.top + w.height)}),
                        (1, {e for w in windows for e in (w.left, w.left + w.width)})):  # fmt: skip
        steps = _steps(picture, axis)
        borders = [edge - 1 for edge in edges if 0 < edge < picture.shape[axis]]
        at += steps[borders].tolist()
        elsewhere += np.delete(steps, borders).tolist()
    return Seam(float(np.mean(at)), float(np.mean(elsewhere)), float(np.std(elsewhere) / np.sqrt(len(at))))


def _steps(picture: Image, axis: int) -> npt.NDArray[np.float64]:
    """Mean step from one row (axis 0) or column (1) to the next."""
    grey = picture.astype(float).mean(axis=2)
    return np.asarray(np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis))


def town(folder: Path, side: int) -> Condition:
    """The upper left `side` × `side` pixels of the town, at 0.8 m."""
    path = Path(__file__).parents[2] / "recipes" / "town.geojson"
    spec = VectorSpec(kind="vector", path=str(path), ground="bare land")
    whole = spec.build(context(folder)).whole(0.8, 5)
    mask = np.ascontiguousarray(whole.mask[:side, :side])
    ids = np.ascontiguousarray(whole.instances[:side, :side])
    return replace(whole, mask=mask, instances=ids, visible={})


def pictured(picture: Path, labels: Path, side: int) -> Condition:
    """The middle of a real picture with its mask of class ids."""
    image, mask = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB), read_ids(labels)
    top, left = ((extent - side) // 2 for extent in mask.shape)
    place = slice(top, top + side), slice(left, left + side)
    cut = np.ascontiguousarray(mask[place])
    prompt = PromptWriter(earthsynth()).write(present_classes(cut), 0.5)
    return Condition(
        cut,
        np.zeros(cut.shape, np.uint16),
        prompt,
        0.5,
        1,
        Origin("picture", picture.stem),
        known_instances=False,
        picture=np.ascontiguousarray(image[place]),
        changed=np.ones(cut.shape, bool),
    )


def drawn(spec: ControlNetSpec, condition: Condition) -> tuple[Image, float]:
    """The scene, and the seconds of this process's own time that it took."""
    generator = spec.build(StageContext(earthsynth(), (), Path(), "cpu"))
    generator.open()
    started = time.process_time()
    [made] = generator.generate([condition], [7])
    return made, time.process_time() - started


def report(name: str, made: Image, source: DigitalSource, seconds: float, out: Path | None) -> None:
    found = seam(made)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    height, width = made.shape[:2]
    print(
        f"{name}, {width} × {height} px: step at the borders of windows {found.border:.2f}, elsewhere {found.elsewhere:.2f} "
        f"± {found.stray:.2f}: {'shows' if found.shows else 'no seam'}; {seconds:.0f} s of CPU, peak {peak:.1f} GB",
        flush=True,
    )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name.replace(' ', '_')}.png").write_bytes(encode_png(made, source=source))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    shared: dict[str, Any] = {"model": "embedded", "precision": "float32", "windows": True}
    made, seconds = drawn(ControlNetSpec(**shared), town(asked.out or Path(), asked.side))
    report("scene from a map", made, DigitalSource.GENERATED, seconds, asked.out)
    if asked.picture is not None:
        condition = pictured(asked.picture, asked.labels, asked.side)
        assert condition.picture is not None
        report("real scene as it is", condition.picture, DigitalSource.COLLAGE, 0.0, None)
        for strength in (0.4, 0.8):
            made, seconds = drawn(EditSpec(kind="edit", where="all", strength=strength, **shared), condition)
            report(f"real scene changed at {strength}", made, DigitalSource.EDITED, seconds, asked.out)


if __name__ == "__main__":
    main()
