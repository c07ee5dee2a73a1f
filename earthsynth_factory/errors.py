"""The error tree: one class a user meets, one exit code each.

    FactoryError            1  a defect of ours, if nothing more precise was raised
    ├── InputError          2  the user can mend it: a recipe, a folder, an image, an option
    │   ├── RecipeError        every fault of one recipe, each with its place and remedy
    │   ├── SourceError        a mask, image, archive or dataset folder that cannot be used
    │   ├── NoCondition        no mask can be drawn that meets what was asked
    │   ├── ModelError         weights that are missing, foreign or damaged
    │   └── StoreError         an output folder that belongs to another run or is damaged
    │       └── FolderInUse       another process works in it now
    └── Interrupted         3  ended early, nothing lost: the same command goes on
        ├── Shortfall          the line ran to its end, yet some counts were not reached
        └── DiskError          the disk is full or failed; what only another folder mends is a StoreError

Messages name the value, the place and the remedy, in that order.
"""

from __future__ import annotations


class FactoryError(Exception):
    """Root of all errors that this package raises on purpose."""

    exit_code = 1


class InputError(FactoryError):
    """Something the user gave cannot be used; the message says what to change."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe with one or more faults. `faults` holds a rendered line for each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class SourceError(InputError):
    """A file or folder that the line was to read is missing, damaged or of another kind."""


class NoCondition(InputError):  # noqa: N818  # an answer, not a fault
    """A source has no condition for a want with this seed; another seed, or another source, may have one."""


class ModelError(InputError):
    """A model cannot be loaded: absent, incomplete, of another shape, or in an unsafe format."""


class StoreError(InputError):
    """An output folder belongs to another recipe, or its contents contradict its own records."""


class FolderInUse(StoreError):  # noqa: N818  # the state of a folder, not a fault
    """Another process works in an output folder now."""


class Interrupted(FactoryError):  # noqa: N818  # the state of the work, not a fault
    """The work ended early and can be resumed with the same command."""

    exit_code = 3


class Shortfall(Interrupted):
    """Some categories ended with fewer accepted images than the recipe promises."""


class DiskError(Interrupted):
    """A write failed, and may not the next time (disk full). What was recorded before it stands."""


def first_line(error: BaseException, most: int = 300) -> str:
    """What a library's error says, on one line of at most `most` characters; its kind if it says nothing, or only a key."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or isinstance(error, KeyError):
        return ": ".join([type(error).__name__, *lines[:1]])[:most]
    announced = lines[0].endswith(":") and len(lines) > 1
    return " ".join(lines[: 2 if announced else 1])[:most].removesuffix(".")
