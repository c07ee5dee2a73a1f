"""What becomes of an error, in one place: a message and an exit code, or a traceback where the defect is ours."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from earthsynth_factory.cli.say import say
from earthsynth_factory.errors import FactoryError, Interrupted, RecipeError


class GuardedGroup(TyperGroup):
    """The root command: turns our errors and Ctrl-C into what a user reads and a script tests."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FactoryError as error:
            report_error(error)
            raise typer.Exit(error.exit_code) from None
        except MemoryError:
            typer.secho("ended early: ", fg="yellow", bold=True, err=True, nl=False)
            say(
                "not enough memory; nothing that was finished is lost. Give the same command more memory, or smaller images, "
                "batches or fewer workers",
                err=True,
            )
            raise typer.Exit(Interrupted.exit_code) from None
        except KeyboardInterrupt:
            typer.secho(
                "\nstopped; nothing that was finished is lost, and the same command may be given again",
                fg="yellow",
                err=True,
            )
            raise typer.Exit(Interrupted.exit_code) from None


def report_error(error: FactoryError) -> None:
    """The error's message on stderr; a recipe's faults are counted, for there may be many."""
    color, kind = ("yellow", "ended early: ") if isinstance(error, Interrupted) else ("red", "error: ")
    typer.secho(kind, fg=color, bold=True, err=True, nl=False)
    many = isinstance(error, RecipeError) and len(error.faults) > 1
    if isinstance(error, RecipeError) and many:
        say(f"{len(error.faults)} faults", err=True)
    say(str(error), err=True, after=0 if many else len(kind))


def say_warnings(lines: Sequence[str]) -> None:
    """Lines about what is doubtful, on stderr."""
    for line in lines:
        typer.secho("warning: ", fg="yellow", bold=True, err=True, nl=False)
        say(line, err=True, after=len("warning: "))


def report_defect(error: BaseException) -> None:
    """Traceback and an apology on stderr."""
    traceback.print_exception(error)
    typer.secho(
        "This is a defect of ours, not of your recipe. Please report it with the lines above.", fg="red", err=True
    )
