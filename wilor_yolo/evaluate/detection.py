"""Run a detector over a folder of annotated pictures and tabulate what it finds, per source.

The true boxes are people's boxes, or the box of measured joints. The true side and keypoints of a
boxed hand are those an annotator network found in it when it was sure (score above 0.9): they
measure agreement with that network, not truth. A source whose boxes are incomplete gets recall
only; one without hands gets false positives only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics import detection as metrics
from ..metrics.detection import UNKNOWN, PictureHands
from ..records import PictureRecord, read_records
from ..skeleton import NUM_JOINTS

if TYPE_CHECKING:
    from ..detect.model import HandDetector

__all__ = ["SourceResult", "evaluate_detector", "format_table", "true_hands"]

WORKING_SCORE = 0.25  # predictions from here on count for recall, false positives and sides
_LOWEST_SCORE = 0.001  # average precision looks at the whole curve
_SURE = 0.9
_INSIDE_IOU = 0.25


@dataclass(frozen=True)
class SourceResult:
    """What a detector did on the pictures of one source; NaN where a measure does not apply.

    Attributes:
        ap50, ap: average precision at IoU 0.5 and over 0.5:0.95, sides ignored.
        recall: of true hands, IoU 0.5, score >= 0.25, sides ignored.
        false_positives: a picture, same thresholds.
        handedness: share of `sided` found hands whose side is right.
        keypoint_error: mean distance over the larger box side, on `posed` found hands.
    """

    source: str
    pictures: int
    hands: int
    ap50: float
    ap: float
    recall: float
    false_positives: float
    handedness: float
    sided: int
    keypoint_error: float
    posed: int


def true_hands(record: PictureRecord) -> tuple[PictureHands, bool] | None:
    """The true hands of a picture and whether they are all of them; None when nobody knows."""
    if record.true_hand is not None:
        hand = record.true_hand
        true = PictureHands(hand.box[None], np.array([hand.side]), None, hand.keypoints[None])
        return true, True
    if record.boxes is None:
        if record.found is not None:
            return None
        return PictureHands(np.zeros((0, 4)), np.zeros(0, int)), True
    sides = np.full(len(record.boxes), UNKNOWN)
    keypoints = np.full((len(record.boxes), NUM_JOINTS, 2), np.nan)
    sure = [hand for hand in record.found or () if hand.score > _SURE]
    overlaps = metrics.box_iou(record.boxes, np.array([h.box for h in sure]).reshape(-1, 4))
    while overlaps.size and overlaps.max() >= _INSIDE_IOU:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        sides[row], keypoints[row] = sure[column].side, sure[column].keypoints
        overlaps[row], overlaps[:, column] = 0, 0
    return PictureHands(record.boxes, sides, None, keypoints), record.boxes_complete


def evaluate_detector(
    detector: HandDetector,
    folder: str | Path,
    *,
    imgsz: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[SourceResult]:
    """Predict every picture of `folder` one by one and measure, in the order of its sources.

    Args:
        detector: the detector.
        folder: pictures with `labels.jsonl`, see `records.py`.
        imgsz: inference size in px; None for the detector's own.
        progress: called with (pictures done, pictures in all).

    Raises:
        HandError: `labels.jsonl` is missing or malformed.
    """
    records = [(record, true_hands(record)) for record in read_records(folder)]
    known = [(record, *truth) for record, truth in records if truth is not None]
    settings: dict[str, Any] = {} if imgsz is None else {"imgsz": imgsz}
    by_source: dict[str, list[tuple[PictureHands, PictureHands]]] = defaultdict(list)
    complete: dict[str, bool] = {}
    for done, (record, true, whole) in enumerate(known, start=1):
        results = detector.predict(str(record.file), conf=_LOWEST_SCORE, verbose=False, **settings)
        result = results[0].numpy()
        predicted = PictureHands(
            result.boxes.xyxy.astype(np.float64),
            result.boxes.cls.astype(int),
            result.boxes.conf.astype(np.float64),
            result.keypoints.xy.astype(np.float64).reshape(-1, NUM_JOINTS, 2),
        )
        by_source[record.source].append((true, predicted))
        complete[record.source] = complete.get(record.source, True) and whole
        if progress is not None:
            progress(done, len(known))
    return [_measure(name, rows, complete[name]) for name, rows in by_source.items()]


def format_table(results: Iterable[SourceResult]) -> str:
    """A text table, one source a line."""
    lines = [
        f"{'source':16s}{'pictures':>9s}{'hands':>7s}{'AP50':>7s}{'mAP':>7s}{'recall':>8s}"
        f"{'FP/pic':>8s}{'side':>7s}{'(n)':>6s}{'kpt err':>9s}{'(n)':>6s}"
    ]
    for row in results:
        lines.append(
            f"{row.source:16s}{row.pictures:9d}{row.hands:7d}"
            f"{_cell(row.ap50, 7, 3)}{_cell(row.ap, 7, 3)}{_cell(row.recall, 8, 3)}"
            f"{_cell(row.false_positives, 8, 3)}{_cell(row.handedness, 7, 3)}{row.sided:6d}"
            f"{_cell(row.keypoint_error, 9, 4)}{row.posed:6d}"
        )
    return "\n".join(lines)


def _measure(
    source: str, rows: list[tuple[PictureHands, PictureHands]], complete: bool
) -> SourceResult:
    nan = float("nan")
    hands = sum(len(true) for true, _ in rows)
    judged = complete and hands > 0
    handedness, sided = metrics.handedness_accuracy(rows, WORKING_SCORE)
    error, posed = metrics.keypoint_error(rows, WORKING_SCORE)
    return SourceResult(
        source=source,
        pictures=len(rows),
        hands=hands,
        ap50=metrics.average_precision(rows) if judged else nan,
        ap=metrics.mean_average_precision(rows) if judged else nan,
        recall=metrics.recall(rows, WORKING_SCORE),
        false_positives=metrics.false_positives(rows, WORKING_SCORE) if complete else nan,
        handedness=handedness,
        sided=sided,
        keypoint_error=error,
        posed=posed,
    )


def _cell(value: float, width: int, digits: int) -> str:
    return " " * (width - 1) + "-" if np.isnan(value) else f"{value:{width}.{digits}f}"
