"""`python -m research.cf_comp_ablation --data DIR --out DIR [--base DIR] [--size quick|full] [--readme FILE]`.

Trains, draws and judges; prints the tables and keeps them in OUT/ablation.md. A stopped one goes on with the same command.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from earthsynth_factory.errors import FactoryError
from earthsynth_factory.io.atomic import write_bytes
from research import markdown
from research.cf_comp_ablation import table
from research.cf_comp_ablation.plan import SIZES, Start, Trial
from research.cf_comp_ablation.run import Ablation

MARKERS = "cf-comp-ablation"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; gives the error tree's exit code."""
    given = _parser().parse_args(arguments)
    trial = Trial(given.base, given.data, given.out, SIZES[given.size], given.start, given.device)
    try:
        if given.readme:
            markdown.check(given.readme, MARKERS)
        outcome = Ablation(trial).go_on()
        summary, classes = table.summary(outcome), table.by_class(outcome)
        write_bytes(given.out / "ablation.md", f"{summary}\n\n{classes}\n".encode())
        if given.readme:
            markdown.fill(given.readme, summary, MARKERS)
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{summary}\n\n{classes}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="research.cf_comp_ablation", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="prepared folder; its train split is learnt from and drawn"
    )
    parser.add_argument("--out", type=Path, default=Path("out/ablation"), help="run folder")
    parser.add_argument("--base", default="embedded", help="`embedded` or a pipeline's folder with its card")
    parser.add_argument("--start", choices=get_args(Start), default="new", help="ControlNet that every run begins with")
    parser.add_argument("--size", choices=SIZES, default="full", help="quick takes minutes and shows nothing")
    parser.add_argument("--readme", type=Path, help="write the table here too, between its markers")
    parser.add_argument("--device", default="auto")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
