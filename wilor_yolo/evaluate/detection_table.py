"""Results of detectors as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .detection import SourceResult

__all__ = ["Runner", "format_table", "table_1"]

_BOXES = (
    ("ap50", "AP50", 3),
    ("ap", "mAP", 3),
    ("recall", "recall", 3),
    ("false_positives", "FP/pic", 3),
    ("ap50_sides", "AP50 l/r", 3),
    ("ap_sides", "mAP l/r", 3),
    ("handedness", "side", 3),
    ("sided", "(n)", 0),
)
_DETAILS = (
    ("ap_small", "mAP S", 3),
    ("small", "(n)", 0),
    ("ap_medium", "mAP M", 3),
    ("medium", "(n)", 0),
    ("ap_large", "mAP L", 3),
    ("large", "(n)", 0),
    ("ap_keypoints", "OKS mAP", 3),
    ("pck", "PCK@0.1", 3),
    ("keypoint_error", "kpt err", 4),
    ("posed", "(n)", 0),
)
# Paper, Table 1: name, MB, FPS, and (AP50, mAP) in percent on each set.
_PAPER_SETS = ("coco-wholebody", "oxford-hands", "whim")
_Score = tuple[float, float]
_PAPER: tuple[tuple[str, float, float, _Score, _Score, _Score], ...] = (
    ("MediaPipe", 25, 25, (15.43, 3.72), (8.72, 1.80), (53.09, 12.01)),
    ("OpenPose", 141, 29, (37.05, 9.06), (20.74, 4.41), (76.8, 34.25)),
    ("ContactHands", 819, 3, (50.29, 16.67), (70.02, 36.41), (93.42, 49.44)),
    ("ViTDet", 1400, 1, (41.64, 13.21), (67.56, 29.77), (84.76, 35.42)),
    ("paper, S", 7, 175, (46.96, 18.56), (75.21, 38.16), (91.80, 46.50)),
    ("paper, M", 25, 138, (62.48, 25.97), (82.64, 48.98), (96.06, 53.79)),
)


@dataclass(frozen=True)
class Runner:
    """What a detector is, beside what it finds.

    Attributes:
        name: in tables.
        megabytes: size of its files, 10^6 bytes; NaN when nothing was run.
        parameters: how many it has; None when the file does not tell.
        fps: pictures a second, one by one; NaN when it was not timed.
    """

    name: str
    megabytes: float
    parameters: int | None
    fps: float

    def __str__(self) -> str:
        parts = [self.name]
        if not np.isnan(self.megabytes):
            parts.append(f"{self.megabytes:.1f} MB")
        if self.parameters is not None:
            parts.append(f"{self.parameters / 1e6:.2f} M parameters")
        if not np.isnan(self.fps):
            parts.append(f"{self.fps:.1f} pictures/s")
        return ", ".join(parts)


def format_table(results: Iterable[SourceResult]) -> str:
    """Two text tables, a source a line: boxes and sides, then sizes and keypoints."""
    rows = list(results)
    return "\n".join([*_table(rows, _BOXES), "", *_table(rows, _DETAILS)])


def table_1(data_set: str, runner: Runner, result: SourceResult) -> str | None:
    """Our row below those of the paper's Table 1; None for a set that is not in it.

    Their speed was measured on another machine, ours on this one.
    """
    if data_set not in _PAPER_SETS:
        return None
    at = _PAPER_SETS.index(data_set)
    lines = [f"{'Table 1, ' + data_set:26s}{'MB':>8s}{'FPS':>8s}{'AP50':>8s}{'mAP':>8s}"]
    own = (runner.name, runner.megabytes, runner.fps, 100 * result.ap50, 100 * result.ap)
    theirs = [(name, megabytes, fps, *sets[at]) for name, megabytes, fps, *sets in _PAPER]
    for name, megabytes, fps, ap50, ap in [*theirs, own]:
        cells = _cell(megabytes, 8, 0), _cell(fps, 8, 0), _cell(ap50, 8, 2), _cell(ap, 8, 2)
        lines.append(f"{name[:26]:26s}{''.join(cells)}")
    return "\n".join(lines)


def _table(rows: Sequence[SourceResult], columns: Sequence[tuple[str, str, int]]) -> list[str]:
    widths = [max(len(title), 6) + 1 for _, title, _ in columns]
    heads = "".join(f"{title:>{w}s}" for (_, title, _), w in zip(columns, widths, strict=True))
    lines = [f"{'source':16s}{'pictures':>9s}{'hands':>7s}{heads}"]
    for row in rows:
        cells = [
            _cell(getattr(row, name), width, digits)
            for (name, _, digits), width in zip(columns, widths, strict=True)
        ]
        lines.append(f"{row.source[:16]:16s}{row.pictures:9d}{row.hands:7d}{''.join(cells)}")
    return lines


def _cell(value: float, width: int, digits: int) -> str:
    return f"{'-':>{width}s}" if np.isnan(value) else f"{value:{width}.{digits}f}"
