"""A scheduler's SIGTERM ends a run as Ctrl-C does: what was begun is cleaned away."""

from __future__ import annotations

import os
import signal
from functools import partial
from types import FrameType

__all__ = ["Terminated", "interrupt_on_sigterm"]


class Terminated(KeyboardInterrupt):
    """Ctrl-C by SIGTERM."""


def interrupt_on_sigterm() -> None:
    """From now on SIGTERM raises :class:`Terminated` in this process, which must be our own.

    Without it Python ends at once, and half-written files stay behind.
    """
    signal.signal(signal.SIGTERM, partial(_interrupt, os.getpid()))


def _interrupt(owner: int, number: int, frame: FrameType | None) -> None:
    if os.getpid() != owner:  # a forked child, which others started and end
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    # `timeout` sends two; the second would cut the cleaning short. (Of SIG_IGN Python complains if
    # it has come already.)
    signal.signal(number, lambda *_: None)
    from multiprocessing import active_children

    # Ctrl-C reaches all processes of a terminal's job; without it we would wait for their tasks.
    for child in active_children():
        if child.pid is not None:
            os.kill(child.pid, signal.SIGINT)
    raise Terminated
