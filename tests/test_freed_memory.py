from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from wilor_yolo import freed_memory

# How many pages the system clears for four blocks of 100 MB after the first.
_PROGRAM = """
import resource, sys
from wilor_yolo.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
block = b"x" * 100_000_000
del block
before = faults()
for number in range(4):
    block = bytes([number]) * 100_000_000
    del block
print(faults() - before)
"""


def _faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="needs glibc",
)
def test_freed_blocks_are_used_again():
    assert _faults("keep") < 1000 < _faults("as it is")


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not freed_memory.keep_freed_memory()
