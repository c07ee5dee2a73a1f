"""`python -m research.embedded.report --crops DIR --out DIR …`: the model report.

Measures the models that ship, or those in `--models` (a folder with `pipeline/`, `clip/`, `segmenter/`); prints the table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from earthsynth_factory.errors import FactoryError
from earthsynth_factory.models.weights import EMBEDDED
from research import markdown
from research.embedded.report import table
from research.embedded.report.measure import Bench, Models, measure
from research.embedded.report.sizes import SIZES


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; gives the error tree's exit code."""
    given = _parser().parse_args(arguments)
    cards = [(given.models or EMBEDDED) / part / "card.md" for part in ("pipeline", "clip")]
    try:
        for path in [given.readme, *cards] if given.readme else []:
            markdown.check(path)
        bench = Bench(Models.of(given.models, given.device), given.out, given.seed)
        report = measure(bench, given.crops, SIZES[given.size])
        summary, categories = table.summary(report), table.by_category(report)
        if given.readme:
            markdown.fill(given.readme, summary)
            markdown.fill(cards[0], f"{summary}\n\n{categories}")
            markdown.fill(cards[1], table.clip_summary(report))
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command goes on from there", file=sys.stderr)
        return 3
    print(f"{summary}\n\n{categories}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="research.embedded.report", description=__doc__)
    parser.add_argument("--crops", type=Path, required=True, help="folder with crops-train and crops-test.safetensors")
    parser.add_argument("--out", type=Path, default=Path("out/model-report"), help="run folder")
    parser.add_argument(
        "--models", type=Path, help="folder with pipeline/, clip/ and segmenter/; by default those that ship"
    )
    parser.add_argument("--size", choices=SIZES, default="full", help="quick: on few; images: compares no trainings")
    parser.add_argument("--readme", type=Path, help="write the table here too, and into the models' cards")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
