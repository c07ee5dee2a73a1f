"""The recipe as frozen types. What a single value may be is said here; what values mean together, in `cross_checks`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema, model_validator

from earthsynth_factory.conditions.prompts import PromptSpec
from earthsynth_factory.domain.spec import NOT_IN_FINGERPRINT, CountSpan, Field, Span, Spec
from earthsynth_factory.domain.taxonomy import MAX_ID, Category, Taxonomy
from earthsynth_factory.errors import InputError
from earthsynth_factory.labels.from_condition import LabelSpec
from earthsynth_factory.recipe import class_list, cross_checks
from earthsynth_factory.recipe.cross_checks import MAX_IMAGES
from earthsynth_factory.recipe.plugin_blocks import ExportBlock, GeneratorBlock, RuleBlock, SourceBlock
from earthsynth_factory.rfilter.base import DEFAULT_RULES

EMBEDDED_THRESHOLDS = "embedded"
"""In place of a file's name: the thresholds that ship with the embedded models."""

ULPS = 1e-9
"""What a share times a count may fall short of a whole number by."""

Whole = Annotated[int, Field(strict=True)]
"""A whole number, written as one: neither `true` nor "5"."""

Share = Annotated[float, Field(strict=True, gt=0, le=1)]

SplitName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=40)]
"""A folder is named after it."""


def _parse_side(value: Any) -> Any:
    """`512` → (512, 512); [height, width] stays."""
    if isinstance(value, str):
        raise ValueError("must be a number of pixels, or [height, width]")
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


def _parse_color(value: Any) -> Any:
    """`"#ff8800"` → (255, 136, 0); [red, green, blue] stays."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        raise ValueError('write [red, green, blue] in 0–255, or "#rrggbb" in quotes')
    return tuple(bytes.fromhex(value[1:]))


def _positive(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] <= 0:
        raise ValueError(f"must be above 0, not {value[0]:g}")
    return value


Side = Annotated[Whole, Field(ge=16, le=4096, multiple_of=8)]
Channel = Annotated[Whole, Field(ge=0, le=255)]
Color = Annotated[
    tuple[Channel, Channel, Channel],
    BeforeValidator(_parse_color),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^#[0-9A-Fa-f]{6}$"},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0, "maximum": 255},
                    "minItems": 3,
                    "maxItems": 3,
                },
            ]
        }
    ),
]
Size = Annotated[
    tuple[Side, Side],
    BeforeValidator(_parse_side),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 16, "maximum": 4096, "multipleOf": 8},
                {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]
PositiveSpan = Annotated[Span, AfterValidator(_positive)]
PositiveCounts = Annotated[CountSpan, AfterValidator(_positive)]


class ImageBlock(Spec):
    """The images: how many pixels, and how much ground one covers."""

    size: Size = (512, 512)
    """Pixels: one number for a square, or [height, width]; multiples of 8, 16–4096."""
    metres_per_pixel: PositiveSpan = (0.3, 0.3)
    """Ground sampling distance in metres per pixel; a range is drawn from image by image."""

    @property
    def height(self) -> int:
        """Rows, in pixels."""
        return self.size[0]

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return self.size[1]


class CategoryBlock(Spec):
    """A class that the dataset is to contain: one of the 69 built-in ones by name, or one of your own.

    A name that is not built in needs one of `id`, `color` or `thing`, so that a misspelling does not become a class.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"\S")]
    """In any usual spelling: `storage tank`, `Storage-Tanks`."""
    count: Annotated[Whole, Field(ge=0, le=MAX_IMAGES)]
    """How many images must contain it. 0 only makes the class known. May be raised later: the same command then adds to the
    same folder."""
    instances: PositiveCounts | None = None
    """Objects of it per image, as `2..12`; left out, the source decides."""
    size: PositiveSpan | None = None
    """Longer side of each object in metres, as `20..40`; left out, true to scale."""
    metres_per_pixel: PositiveSpan | None = None
    """Ground sampling distance of the images made for it, in place of the one under `image`."""
    context: tuple[str, ...] | None = None
    """Names of the classes its surroundings may be drawn from; left out, the source decides."""
    words: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """What the prompt says for it, in place of its name."""
    negative_prompt: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    """What the images made for it are led away from, in place of the generator's `negative_prompt`."""
    id: Annotated[Whole, Field(ge=1, le=MAX_ID)] | None = None
    """For a class of your own: its number in masks, 69–254; left out, the next free one."""
    color: Color | None = None
    """For a class of your own: [red, green, blue] or "#rrggbb"."""
    thing: Annotated[bool, Field(strict=True)] | None = None
    """For a class of your own: true for countable objects (the default), false for land cover."""


class RFilterBlock(Spec):
    """The filter: how many images are tried, and which rules an image must pass."""

    candidates: Annotated[Whole, Field(ge=1, le=64)] = 1
    """Images made for one condition; the best of those that pass is kept."""
    max_attempts: Annotated[Whole, Field(ge=1, le=1000)] = Field(default=8, json_schema_extra=NOT_IN_FINGERPRINT)
    """Images made for one place in the dataset before it is reported as short. May be raised when a build ended short: the
    same command then goes on in the same folder."""
    rules: tuple[RuleBlock, ...] = Field(default=DEFAULT_RULES, validate_default=True)
    """Every image must pass all of them. Left out: those of `filter`, held to `thresholds: embedded`; none for a dry run."""
    thresholds: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        default=None, json_schema_extra=NOT_IN_FINGERPRINT
    )
    """File of least values for the rules, class by class, as `filter --calibrate` writes it (`thresholds.yaml`); or
    `embedded`: those that real images gave with the embedded models, for rules that have none of their own."""

    @model_validator(mode="before")
    @classmethod
    def _calibrated(cls, data: Any) -> Any:
        """Rules that are left out are the calibrated ones."""
        return {"thresholds": EMBEDDED_THRESHOLDS, **data} if isinstance(data, dict) and "rules" not in data else data


MOST_WORKERS = 256

PACKED_ABOVE = 100_000
"""Shards of more images than this are packed if nobody says otherwise: three files for each of them burden a file system."""


def _parse_workers(value: Any) -> Any:
    """The value. Raises ValueError that says both what it may be, which two types would do in two errors."""
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_WORKERS):
        return value
    raise ValueError(f"must be `auto` or a whole number of 1–{MOST_WORKERS}")


Workers = Annotated[Literal["auto"] | Annotated[Whole, Field(ge=1, le=MOST_WORKERS)], BeforeValidator(_parse_workers)]


class EngineBlock(Spec):
    """How the work is done. Nothing here changes a pixel."""

    kind: Literal["local", "ray"] = "local"
    """`local`: processes of this machine; `ray`: of a Ray cluster (extra `ray`), whose machines share the output folder."""
    workers: Workers = "auto"
    """Processes that make images side by side; `auto` is one for each GPU, or one; in a cluster without GPUs one for each
    machine."""
    address: Annotated[str, StringConstraints(pattern=r"^(auto|\[?[\w.:-]+\]?:[0-9]{1,5})$")] | None = None
    """With `kind: ray`, where the cluster's head is, such as 10.0.0.7:6379; left out or `auto`, the one that this machine is
    part of."""
    gpus: Annotated[float, Field(ge=0, le=1)] | None = None
    """With `kind: ray`, the share of a GPU that each worker gets: 1 if left out, 0 for none, as with `device: cpu`."""
    shard_size: Annotated[Whole, Field(ge=1, le=100_000)] = 256
    """Images that one worker takes on and commits at a time."""
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$")] = "auto"
    """`auto`, `cpu`, `mps`, `cuda`, or one of several GPUs: `cuda:1`."""
    writers: Annotated[Whole, Field(ge=1, le=64)] = 2
    """Threads that write files while the next images are made."""

    @model_validator(mode="after")
    def _keys_of_a_cluster(self) -> Self:
        if self.kind == "local" and (self.address is not None or self.gpus is not None):
            raise ValueError("`address` and `gpus` are of a cluster; add `kind: ray`, or leave them out")
        return self


class StoreBlock(Spec):
    """How what is made lies on the disk. Nothing here changes a pixel."""

    pack: Annotated[bool, Field(strict=True)] | None = None
    """Images, masks and instance maps in one tar for each shard, in place of three files for each image; left out, if more
    than 100,000 images are asked for."""


class CounterfactualBlock(Spec):
    """Pairs of images of one scene that differ by one object and are equal to the bit elsewhere."""

    share: Share
    """Share of the images of every countable class that get a second one, beyond their `count`."""
    instead: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    """Class of the object that stands in the first one's place in the second image; left out, there is none."""


def pairs_among(images: int, share: float) -> int:
    """How many of this many images of a class begin a pair."""
    return math.floor(images * share + ULPS)


def _parse_pairs(value: Any) -> Any:
    """`0.25` → {share: 0.25}; a block stays."""
    return {"share": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


Counterfactual = Annotated[CounterfactualBlock, BeforeValidator(_parse_pairs)]


class Recipe(Spec):
    """A dataset to be made."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"\S")] = Field(
        json_schema_extra=NOT_IN_FINGERPRINT
    )
    """What the dataset is called, in its card and in exports."""
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] = 0
    """Everything random comes from it: the same recipe and models make the same dataset."""
    image: ImageBlock = ImageBlock()
    categories: tuple[CategoryBlock, ...]
    """The classes asked for, each with its count of images."""
    negatives: Annotated[Whole, Field(ge=0, le=MAX_IMAGES)] = 0
    """Images in which none of the categories is present, nor any class that the model's card says it has not learnt. May be
    raised later, as the counts may."""
    counterfactual: Counterfactual | None = None
    """Pairs that differ by one object, as `{share: 0.25}` or `0.25`: needs a `compose` source with `pictures: true` and
    `synthesis: {kind: collage}` or `edit`. Also `build --counterfactual SHARE`."""
    prompts: PromptSpec | None = None
    """Templates and words to draw from, for prompts that are not all alike."""
    conditions: tuple[SourceBlock, ...]
    """Where masks come from: one source or several, drawn by `weight`."""
    synthesis: GeneratorBlock
    """What makes images from masks."""
    rfilter: RFilterBlock = Field(default={}, validate_default=True)
    labels: LabelSpec = LabelSpec()
    splits: dict[SplitName, Share] = Field(default={"train": 0.8, "val": 0.2}, min_length=1)
    """Split → share; shares sum to 1. No source image or layout family serves two splits."""
    exports: tuple[ExportBlock, ...] = Field(
        default=("coco",), validate_default=True, json_schema_extra=NOT_IN_FINGERPRINT
    )
    """Formats to write when the images are done; `export` writes any of them again later."""
    engine: EngineBlock = Field(default=EngineBlock(), json_schema_extra=NOT_IN_FINGERPRINT)
    store: StoreBlock = Field(default=StoreBlock(), json_schema_extra=NOT_IN_FINGERPRINT)
    allow_unknown: Annotated[bool, Field(strict=True)] = Field(default=False, json_schema_extra=NOT_IN_FINGERPRINT)
    """Make images of classes that the model's card does not know; without it such a recipe is refused."""

    @model_validator(mode="before")
    @classmethod
    def _judge_no_dry_run(cls, data: Any) -> Any:
        """A dry run's images are coloured masks: rules that nobody wrote are not asked of them."""
        if not isinstance(data, dict) or not isinstance(data.get("rfilter", {}), dict):
            return data
        synthesis = data.get("synthesis")
        dry = synthesis == "fake" or (isinstance(synthesis, dict) and synthesis.get("kind") == "fake")
        return {**data, "rfilter": {"rules": [], **data.get("rfilter", {})}} if dry else data

    @model_validator(mode="after")
    def _make_sense(self) -> Recipe:
        problems = cross_checks.problems(self.model_dump()) + self._without_pictures() + self._without_pairs()
        if problems:
            raise cross_checks.MeaningError(problems)
        try:
            self.taxonomy()
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    def _without_pictures(self) -> list[cross_checks.Problem]:
        """Sources whose conditions the generator could not start from."""
        if not self.synthesis.needs_pictures:
            return []
        remedy = "set `pictures: true` on a `dataset` or `compose` source"
        return [
            cross_checks.Problem(
                ("conditions", place), f"gives masks without pictures, which synthesis needs; {remedy}"
            )
            for place, source in enumerate(self.conditions)
            if not source.gives_pictures
        ]

    def _without_pairs(self) -> list[cross_checks.Problem]:
        """Why no counterfactual pair could be made, if any is asked for."""
        if self.counterfactual is None:
            return []
        here: cross_checks.Path = ("counterfactual",)
        if not self.synthesis.needs_pictures:
            return [cross_checks.Problem(here, "needs real pictures; set `synthesis: {kind: collage}` or `edit`")]
        if not any(source.makes_pairs for source in self.conditions):
            return [
                cross_checks.Problem(here, "no source can leave an object out; add a `compose` with `pictures: true`")
            ]
        return []

    @property
    def images(self) -> int:
        """How many images it asks for, negatives and the second images of pairs included."""
        return sum(block.count for block in self.categories) + self.negatives + self.pairs

    @property
    def packs(self) -> bool:
        """Whether shards that are begun become tars."""
        return self.images > PACKED_ABOVE if self.store.pack is None else self.store.pack

    @property
    def pairs(self) -> int:
        """How many counterfactual pairs there are to be."""
        if self.counterfactual is None:
            return 0
        share = self.counterfactual.share
        return sum(pairs_among(block.count, share) for category, block in self.blocks() if category.thing)

    def taxonomy(self) -> Taxonomy:
        """EarthSynth's categories and the recipe's own; an own one without an id has the next free one above 68."""
        return cross_checks.taxonomy_of([block.model_dump() for block in self.categories])

    def blocks(self) -> Iterator[tuple[Category, CategoryBlock]]:
        """Each block with the category it names, in the recipe's order."""
        taxonomy = self.taxonomy()
        return ((taxonomy.named(block.name), block) for block in self.categories)

    def targets(self) -> tuple[int, ...]:
        """Class ids that images are asked for, in the recipe's order."""
        return tuple(category.id for category, block in self.blocks() if block.count)

    def is_dry_run(self) -> bool:
        """Whether no model makes the images, so that nothing judges them as photographs."""
        return self.synthesis.model_dump().get("kind") == "fake"

    def words(self) -> dict[int, str]:
        """Class id → the user's prompt words, if there are any."""
        return {category.id: block.words for category, block in self.blocks() if block.words}


DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a recipe with every kind of block that ships; descriptions are the field docs."""
    schema = _plain(Recipe.model_json_schema())
    listed = schema["properties"]["categories"]
    description = listed.pop("description")
    schema["properties"]["categories"] = {"description": description, "anyOf": [listed, class_list.SCHEMA]}
    return {"$schema": DIALECT, **schema}


def _plain(schema: Any) -> Any:
    """Without our own mark, which no editor knows."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if not (key == "fingerprint" and value is False)}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema
