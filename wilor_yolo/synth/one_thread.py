"""Settings of the process that change the last bits of a picture, held still while one is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from .extra import require

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for BLAS and OpenCV, and OpenCV's fast paths on; afterwards all is as before.

    A matrix product is summed in another order on two threads, and OpenCV's fast paths round
    otherwise than its plain ones: without this the bytes of a picture depend on the machine's
    cores and on what the calling process set. Use it as ``with one_thread():`` or as a decorator.

    Raises:
        HandError: `threadpoolctl` is not installed.
    """
    limits = require("threadpoolctl").threadpool_limits
    threads, fast_paths = cv2.getNumThreads(), cv2.useOptimized()
    cv2.setNumThreads(1)
    cv2.setUseOptimized(True)
    try:
        with limits(1, user_api="blas"):
            yield
    finally:
        cv2.setNumThreads(threads)
        cv2.setUseOptimized(fast_paths)
