"""`python -m earthsynth_factory.training RECIPE`: what `earthsynth-factory train` does, for `accelerate launch -m`.

A launcher may start several processes with the same words; they find one another by its environment variables.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from earthsynth_factory.errors import FactoryError
from earthsynth_factory.training.start import Options, start


def main() -> int:
    """Trains or exports; gives the error tree's exit code."""
    parser = argparse.ArgumentParser(prog="earthsynth_factory.training", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, help="run folder; by default out/<recipe's name>")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="change a key: a.b=3")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--export-only", action="store_true", help="export the newest checkpoint and stop")
    parser.add_argument("--preview-cf-comp", type=int, default=0, dest="preview", metavar="N")
    given = vars(parser.parse_args())
    try:
        target = start(given.pop("recipe"), Options(**given))
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
