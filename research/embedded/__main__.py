"""`python -m research.embedded RECIPE --datasets DIR`: trains, exports and measures the embedded models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from earthsynth_factory.errors import FactoryError
from research.embedded.make import make_embedded


def main(arguments: list[str] | None = None) -> int:
    """Trains or exports; gives the error tree's exit code."""
    given = _parser().parse_args(arguments)
    out = given.out or Path("out") / given.recipe.stem
    try:
        target = make_embedded(given.recipe, given.datasets, out, given.preset, given.export_only)
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(target)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="research.embedded", description=__doc__)
    parser.add_argument("recipe", type=Path, help="a file such as recipes/train_embedded.yaml")
    parser.add_argument("--datasets", type=Path, default=Path("datasets"), help="folder with a dataset for each source")
    parser.add_argument("--preset", choices=("cpu", "gpu"), default="cpu", help="sizes and steps")
    parser.add_argument("--out", type=Path, help="run folder; by default out/<recipe's name>")
    parser.add_argument("--export-only", action="store_true", help="export the newest checkpoints and stop")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
