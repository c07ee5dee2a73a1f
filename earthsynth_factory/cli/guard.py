"""What becomes of an error, in one place: a message and an exit code, or a traceback if the defect is ours."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from earthsynth_factory.cli.ctrl_c import ending
from earthsynth_factory.cli.say import say
from earthsynth_factory.errors import FactoryError, Interrupted, RecipeError

_UsageError: Any = typer.BadParameter.__base__
"""What the parser raises; it lives in another package in older versions of typer."""


class GuardedGroup(TyperGroup):
    """The root command: turns our errors and Ctrl-C into what a user reads and a script tests."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FactoryError as error:
            ending()
            report_error(error)
            raise typer.Exit(error.exit_code) from None
        except _UsageError as error:
            report_usage(error)
            raise typer.Exit(2) from None
        except MemoryError:
            typer.secho("ended early: ", fg="yellow", bold=True, err=True, nl=False)
            say(
                "not enough memory; nothing that was finished is lost. Give the same command more memory, or smaller images, "
                "batches or fewer workers",
                err=True,
            )
            raise typer.Exit(Interrupted.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(report_stop()) from None


def report_error(error: FactoryError) -> None:
    """The error's message on stderr; a recipe's faults are counted, for there may be many."""
    color, kind = ("yellow", "ended early: ") if isinstance(error, Interrupted) else ("red", "error: ")
    typer.secho(kind, fg=color, bold=True, err=True, nl=False)
    many = isinstance(error, RecipeError) and len(error.faults) > 1
    if isinstance(error, RecipeError) and many:
        say(f"{len(error.faults)} faults", err=True)
    say(str(error), err=True, after=0 if many else len(kind))


def report_stop() -> int:
    """What is said of Ctrl-C, and the exit code."""
    ending()
    typer.secho(
        "\nstopped; nothing that was finished is lost, and the same command may be given again", fg="yellow", err=True
    )
    return Interrupted.exit_code


def report_usage(error: Any) -> None:
    """What the parser has against a command, as it would say it, but wrapped between words."""
    if error.ctx is not None:
        say(error.ctx.get_usage(), err=True)
        say(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    say(error.format_message(), err=True, after=len("error: "))


def say_warnings(lines: Sequence[str]) -> None:
    """Lines about what is doubtful, on stderr."""
    for line in lines:
        typer.secho("warning: ", fg="yellow", bold=True, err=True, nl=False)
        say(line, err=True, after=len("warning: "))


def report_defect(error: BaseException) -> int:
    """What is said on stderr of an error that nobody expected; the exit code.

    2, and a remedy, if a package of others breaks while it is imported: a defect of this installation. Otherwise 1, the
    traceback and an apology.
    """
    broken = _broken_package(error)
    if broken is not None:
        package, cause = broken
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        say(_how_to_repair(package, cause), err=True, after=len("error: "))
        return 2
    traceback.print_exception(error)
    typer.secho(
        "This is a defect of ours, not of your recipe. Please report it with the lines above.", fg="red", err=True
    )
    return 1


def _broken_package(error: BaseException) -> tuple[str, BaseException] | None:
    """The package of others that was being imported when this error, or what caused it, arose; and that cause."""
    *_, root = _causes(error)
    imported = [
        str(frame.f_globals.get("__name__")).partition(".")[0]
        for frame, _ in traceback.walk_tb(root.__traceback__)
        if frame.f_code.co_name == "<module>"
    ]
    if not imported or imported[-1] in ("__main__", "earthsynth_factory"):
        return None
    return imported[-1], root


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, and so on down to the first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _how_to_repair(package: str, cause: BaseException) -> str:
    """torch and torchvision are the pair that breaks in practice: two indexes, two builds."""
    import importlib.metadata  # here, since `--help` is to answer at once

    pair = list(dict.fromkeys(("torch", package)))
    found = []
    for name in pair:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (
        f"the package {package} does not load here ({cause}); installed: {', '.join(found)}. Packages built "
        "for each other come from one index: install both again from there, as in "
        f"`pip install --force-reinstall {' '.join(pair)}`"
    )
