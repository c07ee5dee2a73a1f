"""`python -m tests.benchmarks.memory [IMAGES …] [--packed] [--only "filter;split"]`: what commands take by a dataset's size.

A build of this many different images of 32 px, each in a group of its own, is written first, as tars with `--packed`; then
every command is a process of its own: its seconds, those on a processor, its peak memory. `filter, again` decides from
stored scores.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import orjson

from earthsynth_factory.build.masters_writer import masters_writer
from earthsynth_factory.build.run import build
from earthsynth_factory.datasets.build.layout import BuildLayout, ShardLayout
from earthsynth_factory.datasets.build.marker import Marker
from earthsynth_factory.datasets.build.records import SampleRecord, to_line
from earthsynth_factory.domain.condition import Origin
from earthsynth_factory.domain.sample import Candidate, Sample, Slot, Verdict
from earthsynth_factory.domain.taxonomy import earthsynth
from earthsynth_factory.io.atomic import write_bytes, write_json
from earthsynth_factory.io.png import encode_mask, encode_png
from earthsynth_factory.labels.from_condition import LabelSpec, map_labels
from earthsynth_factory.recipe.load import load_recipe
from tests.making import TANK, make_condition, make_image

SIDE, SHARD = 32, 1000
RECIPE = """\
name: large
seed: 1
image: {size: 32}
categories: [{name: storage tank, count: 4}]
conditions: [{kind: procedural}]
synthesis: {kind: fake}
rfilter: {rules: []}
exports: []
engine: {device: cpu}
"""
RULES = "rules: [image_quality, object_size, artefacts]\n"

COMMANDS: dict[str, list[str]] = {
    "plan": ["plan", "RECIPE"],
    "status": ["status", "IN"],
    "report": ["report", "IN", "-o", "OUT/report.html"],
    "stats": ["stats", "IN", "-o", "OUT/s.png"],
    "split": ["split", "IN"],
    "split --out": ["split", "IN", "--ratios", "0.8,0.1,0.1", "--out", "OUT/split"],
    "split of a prepared dataset": ["split", "OUT/split"],
    "filter": ["filter", "IN", "--out", "OUT/filter", "--config", "FILTER"],
    "filter, again": ["filter", "IN", "--out", "OUT/filter", "--config", "FILTER"],
    "filter --apply link": ["filter", "IN", "--out", "OUT/filter", "--config", "FILTER", "--apply", "link"],
    "filter of a prepared dataset": ["filter", "OUT/split", "--out", "OUT/filter2", "--config", "FILTER"],
    "export": ["export", "IN", "-f", "coco,yolo-detect", "-o", "OUT/exports"],
    "merge": ["merge", "IN", "OUT/split", "--out", "OUT/merged"],
}

_PEAK = """
import re, sys
from pathlib import Path
sys.argv[0] = "earthsynth-factory"
try:
    from earthsynth_factory.cli import main
    main()
finally:
    # The kernel's own high-water mark of this program; getrusage would still count the parent it was forked from.
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=open(3, "w"))
"""


def make(root: Path, count: int, pack: bool = False) -> None:
    """A finished build of `count` images, all different and of a few classes. pack: a tar a shard."""
    (root / "r.yaml").parent.mkdir(parents=True)
    (root / "r.yaml").write_text(RECIPE)
    build(load_recipe(root / "r.yaml"), root / "small")
    record = orjson.loads(BuildLayout(root / "small").run.read_bytes())
    shutil.rmtree(root / "small")
    (root / "r.yaml").write_text(RECIPE.replace("count: 4", f"count: {count}"))
    write_json(BuildLayout(root).run, {**record, "images": count, "shard_size": SHARD})
    condition, rng = make_condition(SIDE), np.random.default_rng(0)
    candidate = Candidate(Slot(0, TANK, "train", 0), 0, 0, condition, make_image(0, SIDE))
    found = map_labels(condition, LabelSpec(), earthsynth())
    record = SampleRecord.of(Sample(candidate, Verdict({}, 0.0), found))
    labels = encode_mask(found.semantic, earthsynth()), encode_png(found.instance_map)
    for first in range(0, count, SHARD):
        slots = range(first, min(first + SHARD, count))
        _shard(BuildLayout(root).shard(first // SHARD), record, labels, slots, rng, pack)


def _shard(
    layout: ShardLayout,
    record: SampleRecord,
    labels: tuple[bytes, bytes],
    slots: range,
    rng: np.random.Generator,
    pack: bool,
) -> None:
    size, lines, writer = 0, [], masters_writer(layout, [], pack)
    for slot in slots:
        one = replace(
            record,
            slot=slot,
            split="val" if slot % 5 == 4 else "train",
            origin=Origin("made", f"procedural-{slot:020d}"),
        )
        coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = encode_png(np.ascontiguousarray(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)))
        writer.put(one.stem, (image, *labels))
        size += sum(map(len, (image, *labels)))
        lines.append(to_line(one))
    writer.close()
    writer.seal([f"{slot:07d}" for slot in slots])
    write_bytes(layout.rejects, b"", durable=False)
    write_bytes(layout.samples, b"".join(lines), durable=False)
    files, size = 3 * len(slots) + 2, size + sum(map(len, lines))
    marker = Marker((slots.start, slots.stop), len(slots), 0, files, size, "0" * 64)
    write_json(layout.marker, {name: getattr(marker, name) for name in Marker.__slots__})


def measure(words: list[str]) -> tuple[float, float, float]:
    """Seconds, those on a processor, and peak MB of a command in a process of its own."""
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    shell = ["bash", "-c", f'exec "$@" 3>&{theirs}', "bash", sys.executable, "-c", _PEAK, *words]
    done = subprocess.run(shell, close_fds=False, capture_output=True, text=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        peak = pipe.read()
    if done.returncode:
        raise SystemExit(f"{words}: {done.stderr[-2000:]}")
    return seconds, computed, int(peak) / 1024


def main(words: list[str]) -> None:
    """Print the table."""
    chosen = list(COMMANDS)
    if "--only" in words:
        chosen = words.pop(words.index("--only") + 1).split(";")
        words.remove("--only")
    pack = "--packed" in words
    words = [word for word in words if word != "--packed"]
    print("| images | command | seconds | of CPU | peak RSS, MB |\n|---|---|---|---|---|")
    for count in [int(word) for word in words] or [20_000, 100_000]:
        folder = Path(tempfile.mkdtemp())
        try:
            made = Path(os.environ.get("MADE", folder)) / f"in{count}{'packed' if pack else ''}"
            if not made.exists():
                make(made, count, pack)
            print(f"| {count} | entries of the file system | {sum(1 for _ in made.rglob('*'))} | | |", flush=True)
            (folder / "f.yaml").write_text(RULES)
            for name in chosen:
                placed = [
                    word.replace("OUT", str(folder / "out")) if word.startswith("OUT") else
                    {"IN": str(made), "FILTER": str(folder / "f.yaml"), "RECIPE": str(made / "r.yaml")}.get(word, word)
                    for word in COMMANDS[name]
                ]  # fmt: skip
                seconds, computed, peak = measure(placed)
                print(f"| {count} | {name} | {seconds:.0f} | {computed:.0f} | {peak:.0f} |", flush=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
