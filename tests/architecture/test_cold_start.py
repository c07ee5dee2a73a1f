"""`--help` answers at once, since nothing heavy is imported for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "diffusers", "transformers", "numpy", "pydantic", "cv2", "scipy", "skimage", "ruamel.yaml", "rich")

SCRIPT = """
import json, sys
from earthsynth_factory.cli import main
sys.argv = ["earthsynth-factory", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

COMMANDS = (
    [], ["recipe"], ["recipe", "init"], ["recipe", "validate"], ["recipe", "schema"], ["recipe", "categories"],
    ["plan"], ["build"], ["status"], ["export"], ["preview"], ["doctor"],
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_light(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps([*command, "--help"])], capture_output=True, text=True, check=True
        )
        seconds.append(time.perf_counter() - started)
    loaded = set(json.loads(done.stderr))
    assert "Usage: earthsynth-factory" in done.stdout
    assert [name for name in HEAVY if name in loaded] == []
    with capsys.disabled():
        print(f"\n{' '.join([*command, '--help'])}: {min(seconds):.2f} s", end="")
    # 0.3 s is the promise on an idle machine; a loaded one gets three times that.
    assert min(seconds) < 0.9
