"""`run.json` as a type: what a build was made from and with. Equal builds write equal records; times are kept elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from earthsynth_factory.domain.taxonomy import BACKGROUND, Category
from earthsynth_factory.errors import StoreError
from earthsynth_factory.io import gates
from earthsynth_factory.io.bounded import read_bounded

FORMAT: Final = "earthsynth-factory/run"


class Making(BaseModel):
    """What the stages said of themselves once their models were open; empty before that.

    synthesis: kind, model, licence, training_data, notes, settings. rfilter: rule → facts. licences: of the masks.
    """

    model_config = ConfigDict(frozen=True)
    synthesis: dict[str, Any] = {}
    rfilter: dict[str, Any] = {}
    licences: tuple[str, ...] = ()

    @property
    def dry(self) -> bool:
        """Whether no model made the images."""
        return self.synthesis.get("kind") == "fake"

    @property
    def model(self) -> str:
        """What made the images, for a person."""
        return str(self.synthesis.get("model", self.synthesis.get("kind", "?")))

    @property
    def digital_source(self) -> str:
        """How the images came to be, in IPTC's terms; empty if nothing is said."""
        return str(self.synthesis.get("digital_source_type", ""))

    @property
    def licence(self) -> str:
        """The image model's; empty if it states none."""
        return str(self.synthesis.get("licence") or "")

    @property
    def training_data(self) -> list[str]:
        """What the image model learnt from."""
        return [str(text) for text in self.synthesis.get("training_data", ())]


Images = Annotated[int, Field(ge=0, le=9_999_999)]


class AskedCounts(BaseModel):
    """How many images a recipe asks for: of each of its categories, in its order, and negatives."""

    model_config = ConfigDict(frozen=True)
    categories: tuple[Images, ...]
    negatives: Images = 0

    def covers(self, less: AskedCounts) -> bool:
        """Whether the same classes are asked for as in `less`, and no fewer images of any."""
        pairs = [*zip(self.categories, less.categories, strict=False), (self.negatives, less.negatives)]
        same = [bool(count) for count in self.categories] == [bool(count) for count in less.categories]
        return same and all(now >= was for now, was in pairs)


class RunRecord(BaseModel):
    """recipe: resolved, as plain JSON. identity: what decides the pixels beside it. images: asked for.

    unknown: names of classes asked for that the model's card does not know. earlier: what was asked for before the recipe's
    counts were raised, first to last; the slots of each stand before those that were added.
    """

    model_config = ConfigDict(frozen=True)
    format: Literal["earthsynth-factory/run"]
    version: Literal[1]
    name: str
    recipe: dict[str, Any]
    fingerprint: str
    identity: dict[str, Any]
    taxonomy: tuple[Category, ...]
    targets: tuple[int, ...]
    unknown: tuple[str, ...] = ()
    splits: tuple[Annotated[str, AfterValidator(gates.plain_name)], ...]
    images: Images
    earlier: tuple[AskedCounts, ...] = ()
    shard_size: int = Field(gt=0, le=9_999_999)
    software: dict[str, str]
    line: Making = Making()

    @model_validator(mode="after")
    def _fits_together(self) -> RunRecord:
        known = [category.id for category in self.taxonomy]
        if len(set(known)) < len(known) or not {BACKGROUND, *self.targets} <= set(known):
            raise ValueError("taxonomy: ids stand twice, or the background or a target is not among them")
        rfilter = self.recipe.get("rfilter", {})
        rules = rfilter.get("rules", []) if isinstance(rfilter, dict) else None
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise ValueError("recipe.rfilter.rules: is no list of blocks")
        if not isinstance(self.identity.get("thresholds", {}), dict):
            raise ValueError("identity.thresholds: is no block")
        stages = [*self.earlier, self.asked]
        if not all(later.covers(before) for before, later in pairwise(stages)):
            raise ValueError("earlier: asks for other classes than the recipe, or for more of one")
        return self

    @property
    def asked(self) -> AskedCounts:
        """What the recipe asks for. Raises ValueError if its counts are none."""
        blocks = self.recipe.get("categories", [])
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise ValueError("recipe.categories: is no list of blocks")
        counts = [block.get("count", 0) for block in blocks]
        return AskedCounts.model_validate({"categories": counts, "negatives": self.recipe.get("negatives", 0)})

    @property
    def rules(self) -> Sequence[Mapping[str, Any]]:
        """The recipe's blocks of rules."""
        return list(self.recipe.get("rfilter", {}).get("rules", []))

    @property
    def learnt(self) -> Collection[str]:
        """Kinds of the rules that were held to thresholds beside the recipe."""
        return list(self.identity.get("thresholds", {}))

    @property
    def described(self) -> bool:
        """Whether the stages have said what they are: their models were open."""
        return "line" in self.model_fields_set

    def with_line(self, facts: Mapping[str, Any]) -> RunRecord:
        """The record with what the stages say of themselves."""
        return self.model_copy(update={"line": Making.model_validate(facts)})

    def plain(self) -> dict[str, Any]:
        """As it is written; `line` only once it is known."""
        return self.model_dump(mode="json", exclude_unset=True)


def read_record(path: Path) -> RunRecord:
    """Raises StoreError with every fault of the file: damaged, no run record, or of another version."""
    try:
        found = orjson.loads(read_bounded(path))
    except FileNotFoundError:
        raise StoreError(f"{path.parent}: no {path.name} here; is it the output folder of a build?") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: damaged ({error}); put it back, or move the folder away and build again") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise StoreError(f"{path}: not a run record; is it the output folder of a build?")
    try:
        return RunRecord.model_validate(found)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise StoreError(
            f"{path}: damaged ({'; '.join(faults)}); put it back, or move the folder away and build again"
        ) from error
