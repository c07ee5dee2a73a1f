"""`python -m tests.benchmarks.preparing`: category augmentation against the public script's way; a huge image's memory."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.importers.prepare import PrepareOptions, prepare
from tests.importers.layouts import put, text

TILES = Path(__file__).parents[1] / "data" / "dubai"
CROPS, SIDE = 400, 512

HUGE = 20_000


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _against_the_script(folder)
        if "--huge" in sys.argv:
            _huge(folder)


def _against_the_script(folder: Path) -> None:
    source = _crops(folder / "train")
    os.sync()
    started = time.perf_counter()
    _their_way(source, folder / "theirs")
    os.sync()  # ours is not done before the disk has it, so theirs is not either
    theirs = time.perf_counter() - started
    started = time.perf_counter()
    prepare(source.parent, folder.parent / f"{folder.name}-ours", PrepareOptions("earthsynth-180k"))
    ours = time.perf_counter() - started
    sizes = [_disk(path) for path in (folder / "theirs", folder.parent / f"{folder.name}-ours")]
    shutil.rmtree(folder.parent / f"{folder.name}-ours")
    print(f"\nCategory augmentation of {CROPS} crops of {SIDE} px, {os.cpu_count()} cores")
    print("| | seconds | images/s | MB written |\n|---|---|---|---|")
    print(
        f"| an image copy for every class, as the public script | {theirs:.1f} | {CROPS / theirs:.0f} | {sizes[0]:.0f} |"
    )
    print(f"| prepare (and images, masks, checks, journal) | {ours:.1f} | {CROPS / ours:.0f} | {sizes[1]:.0f} |")
    print(f"ratio {theirs / ours:.2f}")


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
