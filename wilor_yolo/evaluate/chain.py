"""How well the whole chain does on annotated pictures: hands found, sides, and the rebuilt hands.

Boxes and sides are the detector's own here, after the reconstructor's say on sides; a mistake of
either network counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import HandError
from ..hands import Hands
from ..images import read_image
from ..metrics.detection import best_pairs, box_iou
from ..metrics.pose import pa_errors, relative_2d_errors
from ..records import AnnotatedHand, PictureRecord, read_records
from ..skeleton import RIGHT
from .reconstruction import FINGER_JOINTS, floor_lines, sure_hands

__all__ = ["Chain", "ChainReport", "ChainScores", "evaluate_chain"]

SAME_HAND = 0.3  # IoU of a found box with the box around the true keypoints


class Chain(Protocol):
    """What is evaluated; `HandPipeline` is one."""

    def __call__(self, source: np.ndarray, K: np.ndarray | None = None) -> Hands: ...


@dataclass(frozen=True)
class ChainScores:
    """Scores of one source; NaN where it has no such truth.

    Attributes:
        hands: with known keypoints and side.
        found: share of them.
        side: share of the found whose side is right.
        pa_mpjpe: mm, of the found. pa_mpjpe_fingers: the same without wrist and knuckles.
        error_2d, median_2d: of the found, mean and median distance of the projected joints from
            the true keypoints, share of the longer side of the hand box.
    """

    hands: int
    found: float
    side: float
    pa_mpjpe: float
    pa_mpjpe_fingers: float
    error_2d: float
    median_2d: float


@dataclass(frozen=True)
class ChainReport:
    """Scores by source; printing it gives a table."""

    sources: dict[str, ChainScores]

    def __str__(self) -> str:
        lines = [
            f"{'source':16s}{'hands':>6s}{'found':>8s}{'side':>8s}{'PA-MPJPE':>10s}{'fingers':>9s}"
            f"{'2D mean':>9s}{'median':>8s}"
        ]
        for source, s in self.sources.items():
            lines.append(
                f"{source:16s}{s.hands:6d}{s.found:8.3f}{s.side:8.3f}{s.pa_mpjpe:10.2f}"
                f"{s.pa_mpjpe_fingers:9.2f}{100 * s.error_2d:8.2f}%{100 * s.median_2d:7.2f}%"
            )
            lines += floor_lines(source)
        return "\n".join(lines)


@dataclass(frozen=True)
class _Found:
    right_side: bool
    errors_2d: np.ndarray
    pa: float
    pa_fingers: float


def evaluate_chain(
    chain: Chain,
    folder: str | Path,
    sources: Iterable[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ChainReport:
    """Score on a folder of annotated pictures (`labels.jsonl`).

    The truth is that of :func:`.reconstruction.evaluate_pictures`: measured joints where a set has
    them, else the annotator network's sure hands. False hands are not counted here
    (:mod:`.detection` does).

    Args:
        chain: see `Chain`.
        folder: holds `labels.jsonl` and the pictures.
        sources: only these.
        progress: called with the numbers of pictures done and to do.

    Raises:
        HandError: no labels, a bad line, or nothing to score. ImageError: an unreadable picture.
    """
    records = read_records(folder, sources)
    outcomes: dict[str, list[_Found | None]] = {}
    for number, record in enumerate(records, 1):
        if truths := sure_hands(record):
            hands = chain(read_image(record.file), record.intrinsics)
            outcomes.setdefault(record.source, []).extend(_score(hands, truths, record))
        if progress:
            progress(number, len(records))
    if not outcomes:
        raise HandError("nothing to score: no hands with a truth were found.")
    return ChainReport({source: _summary(found) for source, found in outcomes.items()})


def _score(hands: Hands, truths: list[AnnotatedHand], record: PictureRecord) -> list[_Found | None]:
    boxes = np.stack([hand.box for hand in truths])
    overlaps = box_iou(boxes, hands.bbox_xyxy.astype(np.float64))
    outcomes: list[_Found | None] = [None] * len(truths)
    for row, column in best_pairs(overlaps, SAME_HAND):
        truth, nan = truths[row], float("nan")
        assert hands.keypoints_2d is not None and hands.joints is not None  # reconstructed
        side = np.array([(boxes[row, 2:] - boxes[row, :2]).max()])
        known = np.column_stack((truth.keypoints, np.ones(len(truth.keypoints))))
        flat = relative_2d_errors(hands.keypoints_2d[column][None], known[None], side, 0.5)
        pa = fingers = nan
        if record.joints_3d is not None:
            ours, true = hands.joints[column][None], record.joints_3d[None]
            pa = float(pa_errors(ours, true).mean())
            fingers = float(pa_errors(ours, true, FINGER_JOINTS).mean())
        right = bool(hands.is_right[column]) == (truth.side == RIGHT)
        outcomes[row] = _Found(right, flat[0], pa, fingers)
    return outcomes


def _mean_of_known(values: list[float]) -> float:
    """Mean without the NaN of hands that have no 3D truth; NaN if none has."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _summary(outcomes: list[_Found | None]) -> ChainScores:
    found = [outcome for outcome in outcomes if outcome is not None]
    if not found:
        nan = float("nan")
        return ChainScores(len(outcomes), 0.0, nan, nan, nan, nan, nan)
    flat = np.concatenate([f.errors_2d for f in found])
    return ChainScores(
        hands=len(outcomes),
        found=len(found) / len(outcomes),
        side=float(np.mean([f.right_side for f in found])),
        pa_mpjpe=_mean_of_known([f.pa for f in found]),
        pa_mpjpe_fingers=_mean_of_known([f.pa_fingers for f in found]),
        error_2d=float(flat.mean()),
        median_2d=float(np.median(flat)),
    )
