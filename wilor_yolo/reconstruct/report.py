"""What a training run tells: lines on the terminal, CSV files, TensorBoard, pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..samples import EncodedSample
from .board import Board
from .network import HandNetwork
from .run_files import RunLog
from .val_pictures import write_validation_sheet
from .validation import SourceErrors

__all__ = ["RunReport"]


class RunReport:
    """Of one run; `quiet` for the processes but the first, which then write nothing.

    A log that cannot be written (the disk is full) is said, and the run goes on.
    """

    def __init__(self, out: Path, quiet: bool) -> None:
        self.out, self.quiet = out, quiet
        self._log, self._val = RunLog(out / "log.csv"), RunLog(out / "val.csv")
        self._board = Board(out / "tensorboard", wanted=False)

    def open(self, step: int, tensorboard: bool) -> None:
        """Begin at a step; what an earlier session logged after it is forgotten."""
        if self.quiet:
            return
        for log in (self._log, self._val):
            with self._writing(log.path):
                log.keep_until(step)
        with self._writing(self.out / "tensorboard"):
            self._board = Board(self.out / "tensorboard", tensorboard, step)
        if self._board.missing:
            self.say("no TensorBoard files: pip install tensorboard")

    def say(self, text: object) -> None:
        """A line on the terminal."""
        if not self.quiet:
            print(text, flush=True)

    def trained(
        self,
        means: Mapping[str, float],
        *,
        step: int,
        seconds: float,
        progress: float,
        rate: float,
        crops_per_second: float,
    ) -> None:
        """Means of the losses since the last call; empty if every step was skipped."""
        loss, joints, keypoints = (
            means.get(name, math.nan) for name in ("loss", "joints_3d", "keypoints_2d")
        )
        self.say(
            f"step {step:6d} {100 * progress:5.1f} %  loss {loss:.4f}  3D {1000 * joints:.1f} mm  "
            f"2D {100 * keypoints:.2f} % crop  lr {rate:.1e}  {crops_per_second:.0f} crops/s  "
            f"{seconds / 60:.1f} min"
        )
        if self.quiet:
            return
        row: dict[str, Any] = {"step": step, "seconds": round(seconds, 1)}
        row |= {"lr": rate, "crops_per_s": round(crops_per_second, 1)} | dict(means)
        with self._writing(self._log.path):
            self._log.append(row)
            self._board.numbers("train", row, step)

    def validated(self, errors: Mapping[str, SourceErrors], step: int, seconds: float) -> None:
        """Errors of held-out samples by source, into val.csv."""
        for source, found in errors.items():
            self.say(f"  val {source:14s} {found}")
            numbers = {k: v for k, v in found.numbers().items() if math.isfinite(v)}
            row: dict[str, Any] = {"step": step, "seconds": round(seconds), "source": source}
            row |= numbers
            with self._writing(self._val.path):
                self._val.append(row)
                self._board.numbers(f"val/{source}", numbers, step)

    def pictures(
        self, network: HandNetwork, samples: Sequence[EncodedSample], count: int, step: int
    ) -> None:
        """The network's answers on held-out samples: val.jpg, and TensorBoard keeps them all."""
        with self._writing(self.out / "val.jpg"):
            sheet = write_validation_sheet(self.out / "val.jpg", network, samples, count)
            self._board.picture("val", sheet, step)

    def close(self) -> None:
        """Finish the files."""
        with self._writing(self.out / "tensorboard"):
            self._board.close()

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.say(f"{path} not written: {error.strerror or error}")
