"""What every reader of a build needs of its `run.json`, checked once; whatever else stands there is left as it is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from earthsynth_factory.datasets.build.records import ClassId
from earthsynth_factory.io.gates import plain

Channel = Annotated[int, Field(ge=0, le=255)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class CategoryLine(_Part):
    """A category of the taxonomy."""

    id: ClassId
    name: str
    color: tuple[Channel, Channel, Channel]
    thing: bool
    words: str


class Models(_Part):
    """What the models told of themselves."""

    synthesis: dict[str, Any] = {}
    rfilter: dict[str, Any] = {}
    licences: list[str] = []


class Filter(_Part):
    """The recipe's filter."""

    rules: list[dict[str, Any]] = []


class RecipePart(_Part):
    """The resolved recipe."""

    rfilter: Filter = Filter()


class RunFile(_Part):
    """The record. line: None before a model was opened."""

    name: str
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
    taxonomy: list[CategoryLine]
    targets: list[ClassId]
    splits: dict[Annotated[str, AfterValidator(plain)], float] | list[Annotated[str, AfterValidator(plain)]]
    shard_size: Annotated[int, Field(ge=1, le=9_999_999)]
    images: Annotated[int, Field(ge=0, le=9_999_999)] | None = None
    recipe: RecipePart = RecipePart()
    identity: dict[str, Any] = {}
    software: dict[str, str] = {}
    line: Models = Models()

    @model_validator(mode="after")
    def _known(self) -> RunFile:
        known = [category.id for category in self.taxonomy]
        if len(set(known)) < len(known) or not set(self.targets) <= set(known) or 0 not in known:
            raise ValueError("taxonomy: ids stand twice, or targets or the background are not among them")
        return self


def read_run(data: bytes) -> dict[str, Any]:
    """The record as plain data. Raises ValueError that names the first wrong key."""
    try:
        found = RunFile.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}") from None
    return found.model_dump(exclude_unset=True)
