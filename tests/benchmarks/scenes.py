"""Large scenes: whether a seam shows where windows meet, in scenes from nothing and in a real one that was changed.

    python -m tests.benchmarks.scenes [--side 1024] [--seeds 6] [--picture TILE.jpg --labels TILE.png] [--out FOLDER]

Scenes from nothing are parts of the map of `recipes/osm_town.yaml`, moved at random behind the windows, since streets and
roofs that lie along a border step more than any seam. A picture that is given is changed as a whole, so that what windows do
to it is seen everywhere; its labels are class ids, as `prepare --crop 0` writes them.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.conditions.vector.spec import VectorSpec
from earthsynth_factory.domain.condition import Condition, Image, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.masks import present_classes
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.png import encode_png
from earthsynth_factory.io.provenance import DigitalSource
from earthsynth_factory.io.rgb import read_rgb
from earthsynth_factory.synthesis.controlnet import ControlNetSpec
from earthsynth_factory.synthesis.edit import EditSpec
from tests.benchmarks.seams import WindowSeams, window_seams
from tests.conditions.folders import context

MODEL_SIDE, CELL = 128, 8
"""Pixels: the embedded model's native size, and a cell of its latents."""

METRES = 0.8

FIRST_SEED = 7


def town(side: int) -> Condition:
    """The upper left `side` × `side` pixels of the town."""
    path = Path(__file__).parents[2] / "recipes" / "town.geojson"
    spec = VectorSpec(kind="vector", path=str(path), ground="bare land")
    whole = spec.build(context(path.parent)).whole(METRES, 5)
    part = np.s_[:side, :side]
    mask, ids = (np.ascontiguousarray(one[part]) for one in (whole.mask, whole.instances))
    return replace(whole, mask=mask, instances=ids, visible={})


def moved(condition: Condition, seed: int) -> Condition:
    """Its map turned round on itself, down and across."""
    height, width = condition.mask.shape
    by = np.random.default_rng(seed).integers(0, (height, width))
    mask, ids = (np.roll(one, by.tolist(), (0, 1)) for one in (condition.mask, condition.instances))
    return replace(condition, mask=mask, instances=ids)


def pictured(picture: Path, labels: Path, side: int) -> Condition:
    """The middle of a real picture with its mask, all of it free to change."""
    image, mask = read_rgb(picture), read_ids(labels).astype(np.uint8)
    top, left = ((extent - side) // 2 for extent in mask.shape)
    part = np.s_[top : top + side, left : left + side]
    cut = np.ascontiguousarray(mask[part])
    prompt = PromptWriter(earthsynth()).write(present_classes(cut), METRES)
    origin, empty = Origin("picture", picture.stem), np.zeros(cut.shape, np.uint16)
    condition = Condition(cut, empty, prompt, METRES, 1, origin, known_instances=False)
    return replace(condition, picture=np.ascontiguousarray(image[part]), changed=np.ones(cut.shape, bool))


def drawn(spec: ControlNetSpec, condition: Condition, seed: int) -> tuple[Image, float]:
    """The scene, and the seconds of this process's own time that it took."""
    generator = spec.build(StageContext(earthsynth(), (), Path(), "cpu"))
    generator.open()
    started = time.process_time()
    [made] = generator.generate([condition], [seed])
    return made, time.process_time() - started


def say(name: str, found: WindowSeams, seconds: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{name}: step at the borders of windows {found.borders:.2f}, at other cells {found.cells:.2f}, elsewhere "
        f"{found.elsewhere:.2f}, by chance ± {found.stray:.2f}: {'a seam' if found.shows else 'no seam'}; "
        f"{seconds:.0f} s of CPU, peak {peak:.1f} GB",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    shared: dict[str, Any] = {"model": "embedded", "precision": "float32", "windows": True}
    whole, jobs = town(asked.side), list[tuple[str, ControlNetSpec, Condition, DigitalSource, int]]()
    for seed in range(FIRST_SEED, FIRST_SEED + asked.seeds):
        scene = ControlNetSpec(**shared), moved(whole, seed)
        jobs.append((f"from a map, seed {seed}", *scene, DigitalSource.GENERATED, seed))
    if asked.picture is not None:
        real = pictured(asked.picture, asked.labels, asked.side)
        assert real.picture is not None
        say("the real picture itself", window_seams(real.picture, MODEL_SIDE, CELL), 0)
        for strength in (0.4, 0.8):
            edit = EditSpec(kind="edit", where="all", strength=strength, **shared)
            jobs.append((f"real, changed at {strength}", edit, real, DigitalSource.EDITED, FIRST_SEED))
    for name, spec, condition, kind, seed in jobs:
        made, seconds = drawn(spec, condition, seed)
        say(name, window_seams(made, MODEL_SIDE, CELL), seconds)
        if asked.out is not None:
            asked.out.mkdir(parents=True, exist_ok=True)
            (asked.out / f"{name.replace(' ', '_')}.png").write_bytes(encode_png(made, source=kind))


if __name__ == "__main__":
    main()
