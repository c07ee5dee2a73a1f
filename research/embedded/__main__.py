"""`python -m research.embedded COMMAND`: makes the embedded models. See README.md beside this file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from earthsynth_factory.errors import FactoryError


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; gives the error tree's exit code."""
    given = _parser().parse_args(words)
    try:
        print(given.run(given))
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m research.embedded", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="all stages of a recipe, then the models with their cards")
    train.add_argument("recipe", type=Path)
    train.add_argument("--datasets", type=Path, default=Path("datasets"), help="folder with a dataset for each source")
    train.add_argument("--out", type=Path, default=Path("out/embedded"), help="run folder")
    train.add_argument("--preset", choices=("cpu", "gpu"), default="cpu")
    train.add_argument("--export-only", action="store_true", help="take what has been trained and stop")
    train.set_defaults(run=_train)
    scenes = commands.add_parser("rsscn7", help="the photographs of RSSCN7 as a prepared dataset")
    scenes.add_argument("source", type=Path, help="folder that holds aGrass, bField, …")
    scenes.add_argument("out", type=Path)
    scenes.set_defaults(run=_rsscn7)
    return parser


def _train(given: argparse.Namespace) -> Path:
    from research.embedded.make import make_embedded

    return make_embedded(given.recipe, given.datasets, given.out, given.preset, given.export_only)


def _rsscn7(given: argparse.Namespace) -> str:
    from research.embedded.scene_classes import import_rsscn7

    return f"{given.out}: {import_rsscn7(given.source, given.out)} photographs"


if __name__ == "__main__":
    raise SystemExit(main())
