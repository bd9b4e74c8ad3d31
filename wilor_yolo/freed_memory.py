"""Large blocks of memory stay with the process that frees them.

glibc hands blocks of 32 MB and more back to the system at every free; the next training step asks
for the same ones, and the system clears each of their pages again. docs/training.md has what
keeping them saves. What a process holds no longer shrinks after its largest step.
"""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # mallopt(3)


def keep_freed_memory() -> bool:
    """Keep freed memory for the rest of this process.

    Returns:
        Whether the system's C library could be told to; only glibc can.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
