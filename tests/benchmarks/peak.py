"""`python -m tests.benchmarks.peak RECIPE OUT`: build, and print seconds and peak memory as JSON."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from earthsynth_factory.build.run import build
from earthsynth_factory.recipe.load import load_recipe

started = time.perf_counter()
build(load_recipe(Path(sys.argv[1])), Path(sys.argv[2]))
# The kernel's own high-water mark of this program; getrusage would still count the parent it was forked from.
peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
assert peak, "needs Linux"
print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": int(peak[1]) / 1024}))
