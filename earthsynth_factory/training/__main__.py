"""`python -m earthsynth_factory.training RECIPE --datasets DIR --out DIR --preset cpu|gpu [--export-only]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from earthsynth_factory.errors import FactoryError
from earthsynth_factory.training.make import make_embedded


def main() -> int:
    """Trains or exports; gives the error tree's exit code."""
    parser = argparse.ArgumentParser(prog="earthsynth_factory.training", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--datasets", type=Path, default=Path("datasets"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--export-only", action="store_true", help="export the newest checkpoints and stop")
    given = parser.parse_args()
    try:
        target = make_embedded(given.recipe, given.datasets, given.out, given.preset, given.export_only)
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
