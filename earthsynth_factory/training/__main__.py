"""`python -m earthsynth_factory.training RECIPE --datasets DIR --out DIR --preset cpu|gpu [--export-only]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from earthsynth_factory.errors import FactoryError
from earthsynth_factory.training.embedded import export_embedded, open_workshop, train_embedded
from earthsynth_factory.training.evaluate import write_cards


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
        make = open_workshop if given.export_only else train_embedded
        shop = make(given.recipe, given.datasets, given.out, given.preset)
        target = export_embedded(shop)
        write_cards(shop, target)
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
