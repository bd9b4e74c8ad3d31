"""The rows of an ablation: which to run, one after the other, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..errors import HandError, did_you_mean
from .terminated import Terminated

__all__ = ["chosen_rows", "run_row", "run_rows", "words_in"]

_PATIENCE = 20  # seconds a terminated row may take to save before it is asked again


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Titled(_Named, Protocol):
    @property
    def title(self) -> str: ...


class _Planned(Protocol):
    @property
    def row(self) -> _Titled: ...

    def prepare(self) -> Path: ...


Row = TypeVar("Row", bound=_Named)
Plan = TypeVar("Plan", bound=_Planned)


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


def run_rows(
    planned: Sequence[Plan],
    is_done: Callable[[Plan], bool],
    train: Callable[[Plan, Path], str | None],
    write_tables: Callable[[dict[str, str]], Path],
) -> None:
    """Train what is not done yet, and print the table after every row.

    Args:
        planned: rows that know their folder.
        is_done: whether a row has its numbers.
        train: trains and measures a row from its training file; returns what went wrong, if
            anything did.
        write_tables: writes the tables, given what went wrong by row; returns the markdown one.
    """
    failed: dict[str, str] = {}

    def table() -> str:
        return write_tables(failed).read_text(encoding="utf-8")

    try:
        for plan in planned:
            name = plan.row.name
            try:
                config = plan.prepare()
                if is_done(plan):
                    print(f"{name}: done before", flush=True)
                    continue
                print(f"{name}: {plan.row.title}", flush=True)
                complaint = train(plan, config)
            except HandError as error:
                complaint = str(error)
            if complaint:
                failed[name] = complaint
                print(f"{name} FAILED: {complaint}", file=sys.stderr, flush=True)
            print(table(), flush=True)
    finally:
        text = table()
    if all(is_done(plan) for plan in planned):
        print(text)


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
    except KeyboardInterrupt as stop:
        try:  # it got the same signal, and saves ...
            process.wait(_PATIENCE if isinstance(stop, Terminated) else None)
        except subprocess.TimeoutExpired:  # ... unless `kill` met this process alone
            process.terminate()
            process.wait()
        raise
    if code == 130:
        raise KeyboardInterrupt
    if code < 0:
        return f"killed by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return None if code == 0 else last.removeprefix("wilor-yolo: ") or f"exit code {code}"
