"""`python -m tests.benchmarks.preparing`: category augmentation against the public script's way; a huge image's memory."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path

import cv2
import numpy as np

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from tests.importers.layouts import put, text

TILES = Path(__file__).parents[1] / "data" / "dubai"
CROPS, SIDE = 800, 512
ROUNDS = 3

HUGE = 20_000


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _against_the_script(folder)
        if "--huge" in sys.argv:
            _huge(folder)


def _against_the_script(folder: Path) -> None:
    source = _crops(folder / "in" / "train")
    ways: dict[str, Callable[[Path], object]] = {
        "an image copy for every class, as the public script": lambda out: _their_way(source, out),
        "prepare (and images, masks, checks, journal)": lambda out: prepare(
            source.parent, out, PrepareOptions("earthsynth-180k")
        ),
    }
    # In turns, so that what else the machine does falls on both.
    taken: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            taken[name].append(_taken(way, folder / "out"))
    print(f"\nCategory augmentation of {CROPS} crops of {SIDE} px, {os.cpu_count()} cores, medians of {ROUNDS} rounds")
    print("| | seconds | of processor | images/s | MB written |\n|---|---|---|---|---|")
    rows = [[statistics.median(column) for column in zip(*found, strict=True)] for found in taken.values()]
    for name, (seconds, processor, size) in zip(taken, rows, strict=True):
        print(f"| {name} | {seconds:.1f} | {processor:.1f} | {CROPS / seconds:.0f} | {size:.0f} |")
    print(f"ratio {rows[0][0] / rows[1][0]:.2f}, of processor {rows[0][1] / rows[1][1]:.2f}")


def _taken(way: Callable[[Path], object], out: Path) -> tuple[float, float, float]:
    """Seconds, seconds of processor (children counted) and MB of one run, which is not done before the disk has it."""
    os.sync()
    started, before = time.perf_counter(), _processor()
    way(out)
    os.sync()
    seconds, processor, size = time.perf_counter() - started, _processor() - before, _disk(out)
    shutil.rmtree(out)
    return seconds, processor, size


def _processor() -> float:
    """Seconds that this process, its ended children, and the server that forks workers had of processors, kernel included."""
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    server = getattr(forkserver._forkserver, "_forkserver_pid", None)  # type: ignore[attr-defined]
    if server is None:
        return own
    fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    return own + sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _crops(root: Path) -> Path:
    """Real pixels of the sample tiles, with the classes of land cover cut into ever other places."""
    random = np.random.default_rng(1)
    images = [cv2.imread(str(path))[..., ::-1] for path in sorted((TILES / "images").iterdir())]
    for number in range(CROPS):
        tile = images[number % len(images)]
        tile = cv2.resize(tile, (max(SIDE + 64, tile.shape[1]), max(SIDE + 64, tile.shape[0])))
        top, left = (int(random.integers(0, size - SIDE)) for size in tile.shape[:2])
        put(root / "images" / f"DG_{number}_0.png", tile[top : top + SIDE, left : left + SIDE])
        blocks = random.choice(np.array([0, 1, 2, 4, 6, 8, 25], np.uint8), (8, 8))
        put(root / "masks" / f"DG_{number}_0.png", blocks.repeat(SIDE // 8, 0).repeat(SIDE // 8, 1))
    return root


def _their_way(source: Path, out: Path) -> None:
    """What the public script does, in its order: threads over masks, four more for each mask's copies, cv2 for PNGs."""
    for name in ("category_masks", "category_images"):
        (out / name).mkdir(parents=True)
    names = [category.name for category in earthsynth()]

    def one(path: Path) -> list[dict[str, object]]:
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        image = source / "images" / path.name
        found: list[dict[str, object]] = []
        with ThreadPoolExecutor(4) as copies:
            for label in np.unique(mask):
                if label:
                    file = f"{path.stem}_{names[label].replace(' ', '_')}.png"
                    cv2.imwrite(str(out / "category_masks" / file), np.where(mask == label, label, 0).astype(np.uint8))
                    copies.submit(shutil.copy, image, out / "category_images" / file)
                    found.append({"file_name": file, "mask_name": file, "text": names[label]})
        return found

    with ThreadPoolExecutor(8) as pool, (out / "train.jsonl").open("w") as lines:
        for found in pool.map(one, sorted((source / "masks").iterdir())):
            lines.writelines(json.dumps(line) + "\n" for line in found)


def _disk(folder: Path) -> float:
    """MB on the disk, a file with several names counted once."""
    seen = {
        (stat.st_dev, stat.st_ino): stat.st_size
        for stat in (path.stat() for path in folder.rglob("*") if path.is_file())
    }
    return sum(seen.values()) / 1e6


def _huge(folder: Path) -> None:
    source = folder / "huge"
    row = np.random.default_rng(0).integers(0, 255, (1000, HUGE, 3)).astype(np.uint8)
    put(source / "images" / "P1.png", np.concatenate([row] * (HUGE // 1000)))
    corners = [
        f"{x} {y} {x + 40} {y} {x + 40} {y + 20} {x} {y + 20} ship 0"
        for x in range(0, HUGE, 500)
        for y in range(0, HUGE, 500)
    ]
    text(source / "labelTxt" / "P1.txt", "\n".join(corners))
    script = (
        "import sys; from pathlib import Path; from earthsynth_factory.importers.prepare import *\n"
        "prepare(Path(sys.argv[1]), Path(sys.argv[2]), PrepareOptions('dota', workers=1))\n"
        "print(Path('/proc/self/status').read_text())"
    )
    started = time.perf_counter()
    command = [sys.executable, "-c", script, str(source), str(folder / "huge-out")]
    status = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak, "needs Linux"
    print(f"\nOne {HUGE}×{HUGE} PNG ({HUGE * HUGE * 3 / 1e9:.1f} GB decoded) in 512-px crops, one process: ", end="")
    print(f"{time.perf_counter() - started:.0f} s, peak {int(peak[1]) / 1024:.0f} MB")


if __name__ == "__main__":
    main()
