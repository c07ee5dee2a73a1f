"""`python -m tests.attack`: every attack, and a table of what was tried and what gave way."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.attack import disks, fuzz, hostile, kills, models, network, odd, pairs, parsers, training
from tests.attack.inputs import Inputs
from tests.attack.outcome import Outcome, table
from tests.attack.running import preload

PARTS = ("records", "hostile", "odd", "network", "kills", "signals", "pairs", "disks", "damage", "train", "models")


def main() -> int:
    """0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=20, help="for each command")
    parser.add_argument("--damage", type=int, default=100, help="damaged inputs for each command and reader")
    parser.add_argument("--records", type=int, default=3000, help="damaged inputs for each parser")
    parser.add_argument("--times", type=int, default=3, help="for each command and failure of a disk, and pair")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    preload()
    found: list[Outcome] = []
    try:
        for outcome in _all(given, folder, Inputs.make(folder / "inputs")):
            print(f"{time.strftime('%H:%M:%S')} {table([outcome]).splitlines()[2]}", file=sys.stderr, flush=True)
            found.append(outcome)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        print(table(found))
    return int(any(outcome.failures for outcome in found))


def _all(given: argparse.Namespace, folder: Path, inputs: Inputs) -> Iterator[Outcome]:
    only, chance = given.only.split(","), random.Random(given.seed)
    if "records" in only:
        yield fuzz.attack_records(inputs, 4 * given.records, given.seed)
        yield from parsers.attack(folder / "parsers", inputs, given.records, given.seed)
    if "hostile" in only:
        yield from hostile.attack(folder / "hostile", inputs)
    if "odd" in only:
        yield from (hostile.outcome(title, attacks, folder / "odd", inputs) for title, attacks in odd.ALL.items())
    if "network" in only:
        yield network.attack(inputs, folder / "network")
    if "kills" in only:
        for number, job in enumerate(kills.jobs(inputs)):
            yield kills.attack(job, folder / f"kills{number}", given.kills, chance)
    if "signals" in only:
        for number, job in enumerate(kills.jobs(inputs)):
            yield kills.signals(job, folder / f"signals{number}", 3 * given.times, chance)
    if "pairs" in only:
        yield pairs.attack(inputs, folder / "pairs", given.times, chance)
    if "disks" in only:
        yield from disks.attack(inputs, folder / "disks", given.times, chance)
    if "damage" in only:
        for target in fuzz.targets(inputs, folder / "layouts"):
            yield fuzz.attack(target, folder / "damage", given.damage, given.seed)
    if "train" in only:
        yield training.attack(folder / "train", given.kills, chance)
    if "models" in only:
        yield from models.attack(folder / "models", inputs, given.kills // 2, given.damage, given.seed)


if __name__ == "__main__":
    sys.exit(main())
