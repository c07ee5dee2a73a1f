"""A whole area as one picture: what its map shows, drawn by the recipe's model in windows that fit together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earthsynth_factory.build.pipeline import Pipeline
from earthsynth_factory.conditions.vector.spec import VectorSource
from earthsynth_factory.domain.seeds import derive
from earthsynth_factory.errors import InputError
from earthsynth_factory.exports.geotiff import palette_of, write_cog
from earthsynth_factory.exports.places import place_of
from earthsynth_factory.io.provenance import VOCABULARY
from earthsynth_factory.recipe.load import LoadedRecipe
from earthsynth_factory.synthesis.base import GeneratorSpec


@dataclass(frozen=True)
class Mosaic:
    """The files that were written, and (H, W) pixels of each."""

    image: Path
    labels: Path
    size: tuple[int, int]


def mosaic(
    loaded: LoadedRecipe,
    out: Path,
    *,
    metres_per_pixel: float | None = None,
    device: str = "auto",
    on_step: Callable[[int, int], None] = lambda *_: None,
) -> Mosaic:
    """Draw the area of the recipe's first `vector` source into `out`, and its class ids beside it: both GeoTIFF.

    metres_per_pixel: by default the finest of the recipe. on_step: called with the windows done and those there are.
    Raises InputError if the recipe has no such source, SourceError, ModelError, DiskError.
    """
    recipe = loaded.recipe
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{out}: a mosaic is written as GeoTIFF; call it {out.with_suffix('.tif').name}")
    drawer = _in_windows(recipe.synthesis)
    pipeline = Pipeline.of(recipe.model_copy(update={"synthesis": drawer}), loaded.base, device)
    source = next((one for one, _ in pipeline.sources if isinstance(one, VectorSource)), None)
    if source is None:
        raise InputError("the recipe has no source `kind: vector`, so it knows no area; add one to draw it as a whole")
    condition = source.whole(metres_per_pixel or recipe.image.metres_per_pixel[0], derive(recipe.seed, "mosaic"))
    generator = pipeline.generator
    generator.on_step = on_step
    generator.open()
    [image] = generator.generate([condition], [derive(recipe.seed, "mosaic image")])
    place = place_of(condition.origin)
    tags = {"DIGITAL_SOURCE_TYPE": VOCABULARY + drawer.digital_source, "LICENCE": "; ".join(source.licences())}
    labels = out.with_name(f"{out.stem}_labels.tif")
    write_cog(out, np.moveaxis(image, 2, 0), place, tags)
    write_cog(labels, condition.mask[None], place, tags, palette_of(pipeline.taxonomy))
    return Mosaic(out, labels, condition.mask.shape)


def _in_windows(spec: GeneratorSpec) -> GeneratorSpec:
    """The generator, told to draw in windows if it has a choice."""
    return spec.model_copy(update={"windows": True}) if "windows" in type(spec).model_fields else spec
