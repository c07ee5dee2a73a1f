"""One image from one mask, with its labels: for trying a model before a recipe is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import orjson

from earthsynth_factory.conditions.masks.view import stretch
from earthsynth_factory.conditions.prompts import PromptWriter
from earthsynth_factory.domain.condition import Condition, Mask, Origin
from earthsynth_factory.domain.context import StageContext
from earthsynth_factory.domain.taxonomy import Category, Taxonomy, earthsynth
from earthsynth_factory.errors import InputError
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.id_masks import read_ids
from earthsynth_factory.io.png import encode_mask, encode_png
from earthsynth_factory.labels.from_condition import LabelSpec, map_labels
from earthsynth_factory.models.card import ModelCard
from earthsynth_factory.recipe.plugin_blocks import GENERATOR
from earthsynth_factory.synthesis.base import GeneratorSpec

SCALE = 0.5
"""Metres per pixel of a mask, as long as nobody says otherwise."""


MADE_BY = "earthsynth-factory generate"
"""In the file of labels: what lies beside it under the same name may be replaced."""

MAX_LABELS = 1 << 28
"""Largest file of labels that is looked into, in bytes."""


@dataclass(frozen=True)
class Generated:
    """The files that were written: image, class-id mask, and objects as JSON. note: what is doubtful; None if nothing is."""

    image: Path
    mask: Path
    labels: Path
    note: str | None


def generate(
    mask: Path,
    category: str,
    out: Path,
    *,
    model: str = "embedded",
    seed: int = 0,
    scale: float = SCALE,
    device: str = "auto",
) -> Generated:
    """Draw the mask with a model and write image and labels: `out`, and beside it <stem>_mask.png and <stem>.json.

    A mask of one value shows the named category, whatever that value is; of several they are EarthSynth's ids, and
    the prompt names all of them. Raises InputError, SourceError, ModelError, DiskError.
    """
    if out.suffix.lower() != ".png":
        raise InputError(f"{out}: pictures are written as PNG; call it {out.with_suffix('.png').name}")
    made = Generated(out, out.with_name(f"{out.stem}_mask.png"), out.with_suffix(".json"), None)
    _check_free(made, mask)
    taxonomy = earthsynth()
    wanted = taxonomy.named(category)
    spec = GENERATOR.parse({"kind": "controlnet", "model": model, "batch": 1})
    assert isinstance(spec, GeneratorSpec)
    card = spec.card(Path.cwd())
    condition = _condition(_ids(mask, wanted, taxonomy), wanted, taxonomy, card, scale, seed)
    generator = spec.build(StageContext(taxonomy, (wanted.id,), Path.cwd(), device))
    generator.open()
    [image] = generator.generate([condition], [seed])
    labels = map_labels(condition, LabelSpec(), taxonomy)
    objects = [{**asdict(one), "category": taxonomy[one.category].name} for one in labels.instances]
    facts = {"prompt": condition.prompt, "model": card.name, "seed": seed, "objects": objects}
    write_json(made.labels, {"made_by": MADE_BY, **facts})  # first: by it the two pictures are known as ours
    write_bytes(made.mask, encode_mask(condition.mask, taxonomy))
    write_bytes(made.image, encode_png(image, source=spec.digital_source))
    return replace(made, note=_doubt(card, wanted))


def _check_free(made: Generated, mask: Path) -> None:
    """Raises InputError if writing would take the place of the mask, or of files that `generate` did not write."""
    there = [path for path in (made.image, made.mask, made.labels) if path.exists() or path.is_symlink()]
    taken = next((path for path in there if mask.exists() and path.exists() and path.samefile(mask)), None)
    if taken is None and there and not _is_ours(made.labels):
        taken = there[0]
    if taken is not None:
        raise InputError(f"{taken}: exists, and `generate` did not write it; name another --out")


def _is_ours(labels: Path) -> bool:
    try:
        if not labels.is_file():
            return False
        with labels.open("rb") as file:
            found = orjson.loads(file.read(MAX_LABELS))
        return isinstance(found, dict) and found.get("made_by") == MADE_BY
    except (OSError, ValueError):
        return False


def _ids(path: Path, wanted: Category, taxonomy: Taxonomy) -> Mask:
    ids = read_ids(path)
    values = [int(one) for one in np.unique(ids) if one]
    if not values:
        raise InputError(f"{path}: shows nothing; give a mask in which what is wanted is not 0")
    if len(values) == 1:
        return np.where(ids > 0, wanted.id, 0).astype(np.uint8)
    strange = [one for one in values if one not in taxonomy]
    if strange or wanted.id not in values:
        found = ", ".join(map(str, values[:8]))
        raise InputError(
            f"{path}: has the ids {found}; with several they are class ids (`recipe categories` lists them), and "
            f"{wanted.name} is {wanted.id}. For a mask of one class any one value will do"
        )
    return ids.astype(np.uint8)


def _condition(ids: Mask, wanted: Category, taxonomy: Taxonomy, card: ModelCard, scale: float, seed: int) -> Condition:
    """The mask at the model's own size: its longer side becomes that, both are made multiples of 8."""
    factor = card.native_size / max(ids.shape)
    height, width = (max(16, round(side * factor / 8) * 8) for side in ids.shape)
    mask = stretch(ids, height, width)
    if not (mask == wanted.id).any():
        raise InputError(f"{wanted.name}: vanishes at the {card.native_size} pixels of the model; give a larger one")
    prompt = PromptWriter(taxonomy, card.prompt_template, card.scales).write(np.unique(mask).tolist(), scale)
    nobody = np.zeros(mask.shape, np.uint16)
    return Condition(mask, nobody, prompt, scale, seed, Origin("generate", "generate"), known_instances=False)


def _doubt(card: ModelCard, wanted: Category) -> str | None:
    if card.categories is None or wanted.id in card.categories:
        return None
    return f"the model ({card.name}) has not learnt {wanted.name}: what the image shows is not what its labels say"
