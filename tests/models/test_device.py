"""What a process does with memory once networks compute on its processor."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

TENSORS = """
import resource, torch
from earthsynth_factory.models.device import pick_device
{first}
for number in range(20):
    torch.empty(1 << 24).fill_(0)  # 64 MB, freed at once
    if number == 9:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _pages_cleared(first: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", TENSORS.format(first=first)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory by rules of their own")
def test_memory_that_a_network_frees_is_used_again() -> None:
    assert _pages_cleared("pick_device('cpu')") < 100 < _pages_cleared("")
