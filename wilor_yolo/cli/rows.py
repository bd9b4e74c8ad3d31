"""The rows of an ablation: which to run, and each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..errors import HandError
from .keys import did_you_mean

__all__ = ["chosen_rows", "run_row", "words_in"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Row = TypeVar("Row", bound=_Named)


def chosen_rows(rows: list[Row], wanted: Any) -> list[Row]:
    """The rows named by `rows=`, in the grid's order; all of them for None.

    Raises:
        HandError: the grid has no such row.
    """
    if wanted is None:
        return rows
    names = words_in(wanted)
    known = [row.name for row in rows]
    for name in names:
        if name not in known:
            raise HandError(f"the grid has no row {name!r}.{did_you_mean(name, known)}")
    return [row for row in rows if row.name in names]


def words_in(value: Any) -> list[str]:
    """The words of a key's value: `a`, `[a,b]` as text, or a list."""
    if isinstance(value, str):
        value = value.strip("[]()").split(",")
    return [str(word).strip().strip("'\"") for word in value]


def run_row(words: list[str]) -> str | None:
    """Run ``wilor-yolo`` with these words in a process of its own, and print what it prints.

    A row that fails, or is killed for want of memory, does not take the others with it.

    Returns:
        What went wrong, if anything did.
    """
    command = [sys.executable, "-m", "wilor_yolo", *words]
    package = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    environment = os.environ | {"PYTHONPATH": f"{package}{os.pathsep}{known}" if known else package}
    last = ""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print(f"  {line.rstrip()}", flush=True)
            last = line.strip() or last
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it got the same signal, and saves
        raise
    if code == 130:
        raise KeyboardInterrupt
    if code < 0:
        return f"killed by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return None if code == 0 else last.removeprefix("wilor-yolo: ") or f"exit code {code}"
