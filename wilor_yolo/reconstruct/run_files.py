"""What a training run leaves on disk: checkpoints and a log, whole at any moment."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from ..errors import WeightsError
from ..grids import write_csv
from ..whole_files import replacing
from .plain_state import read_plain

__all__ = ["RunLog", "TrainState", "load_state", "save_state"]

FORMAT = "wilor_yolo.training/1"


@dataclass
class TrainState:
    """Everything a run needs to go on as if never stopped. Plain tensors, numbers and strings.

    Attributes:
        step: optimiser steps done.
        seconds: time trained, all sessions.
        network, average: state dicts; `average_updates` belongs to the decay's warm-up.
        optimiser, judge, judge_optimiser: state dicts.
        best: best validation score so far, or None.
        config: the `TrainConfig` as plain data.
        network_config: the `NetworkConfig` as plain data.
        shards: per data group, the paths that the next batch is drawn from.
        data_hash: over the bytes of those shards.
        prior: (M, 55) the discriminator's real poses.
        maps: state dict of the training aid; empty when the run has none.
        scaler: state of the fp16 loss scaler; empty with other precisions.
        hand: marks of the hand model; empty in older files.
    """

    step: int
    seconds: float
    network: dict[str, Any]
    average: dict[str, Any]
    average_updates: int
    optimiser: dict[str, Any]
    judge: dict[str, Any]
    judge_optimiser: dict[str, Any]
    best: float | None
    config: dict[str, Any]
    network_config: dict[str, Any]
    shards: list[list[str]]
    data_hash: str
    prior: torch.Tensor
    maps: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    hand: str = ""


def save_state(path: Path, state: TrainState) -> None:
    """Write a checkpoint to a temporary name, flush it to the disk, then rename.

    Raises:
        OSError: it cannot be written; a file that was there is as it was.
    """
    with replacing(path) as temporary, open(temporary, "wb") as handle:
        watched = _Watched(handle)
        try:
            torch.save({"format": FORMAT, **vars(state)}, cast(BinaryIO, watched))
        except RuntimeError as error:  # what torch makes of a disk that is full
            raise (watched.error or error) from None
        handle.flush()
        os.fsync(handle.fileno())


class _Watched:
    """A file that remembers why writing failed."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._handle.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._handle.flush()


def load_state(path: Path) -> TrainState:
    """Read a checkpoint (nothing in it can run code).

    Raises:
        WeightsError: the file is missing, damaged or foreign.
    """
    data = read_plain(path, "a training checkpoint")
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise WeightsError(f"{path} is no training checkpoint of this version; delete it.")
    try:
        return TrainState(**data)
    except TypeError as error:  # fields are missing, or unknown
        reason = str(error).removeprefix("TrainState.__init__() ")
        raise WeightsError(
            f"{path} is no training checkpoint of this version ({reason}); delete it."
        ) from None


class RunLog:
    """Rows of numbers in a CSV file whose columns may grow; survives being cut off anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict[str, float | int | str]) -> None:
        """Add one row; new columns, or a torn last row, rewrite the file."""
        columns = self._columns()
        missing = [name for name in row if name not in columns]
        if missing or not columns or not self._text().endswith("\n"):
            old = self.rows()
            columns = columns + missing
            write_csv(self.path, columns, [*old, row])
            return
        with open(self.path, "a", newline="", encoding="utf-8") as handle:
            csv.DictWriter(handle, columns, restval="").writerow(row)

    def rows(self) -> list[dict[str, str]]:
        """All complete rows."""
        whole, end, _ = self._text().rpartition("\n")  # what follows was cut off while written
        rows = csv.DictReader(io.StringIO(whole + end, newline=""))
        return [r for r in rows if None not in r and None not in r.values()]

    def keep_until(self, step: int) -> None:
        """Forget rows after a step: a resumed run writes them again."""
        rows = [row for row in self.rows() if int(row["step"]) <= step]
        columns = self._columns()
        if not columns:
            return
        write_csv(self.path, columns, rows)

    def _columns(self) -> list[str]:
        return next(csv.reader(io.StringIO(self._text(), newline="")), [])

    def _text(self) -> str:
        if not self.path.is_file():
            return ""
        with open(self.path, newline="", encoding="utf-8") as handle:
            return handle.read()
