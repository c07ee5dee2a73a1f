"""`python -m tests.benchmarks.peak RECIPE OUT`: build, and print seconds and peak memory as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from earthsynth_factory.recipe.load import load_recipe
from earthsynth_factory.run.factory import build

started = time.perf_counter()
build(load_recipe(Path(sys.argv[1])), Path(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": peak}))
