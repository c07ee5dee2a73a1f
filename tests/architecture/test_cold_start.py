"""`--help` answers at once, since nothing heavy is imported for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "diffusers", "transformers", "numpy", "pydantic", "cv2", "scipy", "skimage", "ruamel.yaml", "rich")
LIGHT = ("cli", "errors")
LIMIT = 0.4  # seconds: a third more than is promised, for a machine slower than ours

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
    ["plan"], ["build"], ["status"], ["export"], ["split"], ["merge"], ["preview"], ["report"], ["remake"], ["train"],
    ["doctor"],
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_light(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = json.dumps([*command, "--help"])
    # CPU time, the least of three, since the machine that runs the tests may be busy. The promise is 0.3 s.
    for _ in range(3):
        before = os.times()
        done = subprocess.run([sys.executable, "-c", SCRIPT, arguments], capture_output=True, text=True, check=True)
        after = os.times()
        seconds = after.children_user + after.children_system - before.children_user - before.children_system
        if seconds < LIMIT:
            break
    loaded = set(json.loads(done.stderr))
    assert "Usage: earthsynth-factory" in done.stdout
    assert [name for name in HEAVY if name in loaded] == []
    assert not [name for name in loaded if name.startswith("earthsynth_factory.") and name.split(".")[1] not in LIGHT]
    with capsys.disabled():
        print(
            f"\n{' '.join([*command, '--help'])}: {seconds:.2f} s of CPU, {after.elapsed - before.elapsed:.2f} s",
            end="",
        )
    assert seconds < LIMIT
