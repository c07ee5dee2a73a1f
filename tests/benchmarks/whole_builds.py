"""A whole build on the card: how much of its time the networks are at work, so how much everything around them costs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from earthsynth_factory.build.run import build
from earthsynth_factory.build.shards import BuildEvent, SlotSettled
from earthsynth_factory.models.controlnet_pipeline import ControlNetPipeline
from earthsynth_factory.recipe.load import LoadedRecipe, load_recipe

if TYPE_CHECKING:
    from tests.benchmarks.gpu import Bench

RECIPE = """\
name: whole build
seed: 1
image: {{size: {side}, metres_per_pixel: {scale}}}
categories: [{categories}]
conditions: [{source}]
synthesis: {{kind: controlnet, model: {model}, steps: 4, guidance: 1, scheduler: unipc}}
splits: {{train: 1}}
rfilter: {{rules: [object_size], candidates: {candidates}, max_attempts: {candidates}}}
exports: []
"""

MODEL = "model"
"""The bench's pipeline, as a folder in the hub's layout."""
DATA = Path(__file__).parents[1] / "data"
WARM = 0.25
"""Of a build's batches, the first of which compiling is part: not counted."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is built. scale: metres per pixel."""

    source: str
    categories: tuple[str, ...]
    scale: str
    candidates: int


_VEHICLES = (
    f"{{kind: compose, path: {DATA / 'kit_ais'}, backgrounds: {DATA / 'dubai'}}}",
    ("large vehicle", "small vehicle"),
)

KINDS = {
    "drawn, one image each": Kind("{kind: procedural}", ("storage tank", "ship", "building"), "0.5", 1),
    "composed, one image each": Kind(*_VEHICLES, "0.2..0.4", 1),
    "composed, best of 4": Kind(*_VEHICLES, "0.2..0.4", 4),
}


def build_row(bench: Bench, folder: Path, name: str) -> None:
    """A build of 4 steps without guidance, from the recipe to masters; notes a line of the builds' table."""
    recipe, out = _recipe(bench, folder, KINDS[name]), folder / name.replace(" ", "-")
    settled: list[float] = []

    def watch(event: BuildEvent) -> None:
        if isinstance(event, SlotSettled):
            settled.append(time.perf_counter())

    with generating() as spans:
        build(recipe, out, watch=watch)
    shutil.rmtree(out)
    bench.builds.append({"name": name, **steady(spans, settled[-1])})
    bench.save()


def _recipe(bench: Bench, folder: Path, kind: Kind) -> LoadedRecipe:
    count = bench.size.builds // kind.candidates // len(kind.categories)
    text = RECIPE.format(
        side=bench.size.side,
        scale=kind.scale,
        categories=", ".join(f"{{name: {name}, count: {count}}}" for name in kind.categories),
        source=kind.source,
        model=folder / MODEL,
        candidates=kind.candidates,
    )
    (folder / "recipe.yaml").write_text(text)
    return load_recipe(folder / "recipe.yaml", [f"engine.device={bench.device.type}", "engine.workers=1"])


def steady(spans: list[tuple[float, float, int]], ended: float) -> dict[str, float]:
    """Of the batches behind the first quarter: images a second of the build, and of the networks alone while at work."""
    spans = spans[max(1, int(len(spans) * WARM)) :]
    took, images = ended - spans[0][0], sum(count for *_, count in spans)
    busy = sum(end - start for start, end, _ in spans)
    return {"images_per_s": images / took, "networks_images_per_s": images / busy, "at_work": busy / took}


@contextmanager
def generating() -> Iterator[list[tuple[float, float, int]]]:
    """Begin, end and images of every batch that is generated inside."""
    spans: list[tuple[float, float, int]] = []
    generate = ControlNetPipeline.generate

    def timed(pipeline: ControlNetPipeline, asked: Any) -> Any:
        begun = time.perf_counter()
        made = generate(pipeline, asked)
        spans.append((begun, time.perf_counter(), len(made)))
        return made

    with mock.patch.object(ControlNetPipeline, "generate", timed):
        yield spans
