"""Measures of a hand detector's boxes and sides: pure functions.

Average precision follows COCO (`precision_curve.py`). A true hand of unknown side (`UNKNOWN`)
counts for the class-agnostic measures; in the class-aware ones it is neither asked for nor held
against a prediction that finds it. Measures of keypoints: `detection_keypoints.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..skeleton import LEFT, NUM_JOINTS, RIGHT
from .precision_curve import Question, area_under_curve, match

__all__ = [
    "COCO_IOUS",
    "KEYPOINT_SIGMAS",
    "SIZES",
    "UNKNOWN",
    "PictureHands",
    "Pictures",
    "at_least",
    "average_precision",
    "best_pairs",
    "box_iou",
    "false_positives",
    "found_hands",
    "handedness_accuracy",
    "hands_of_size",
    "mean_average_precision",
    "recall",
    "scores_of",
]

COCO_IOUS = tuple(np.arange(50, 100, 5) / 100)  # paper section 5.1: AP at 0.5, mAP at 0.5:0.05:0.95
# Spread of people's clicks on each joint in units of hand size, as COCO-WholeBody publishes them
# for its hands; the default of Ultralytics (1/21 each) forgives twice as much.
KEYPOINT_SIGMAS = (
    *(0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024),
    *(0.022, 0.026, 0.017, 0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031),
)
UNKNOWN = -1  # side of a true hand nobody knows the side of
# COCO's sizes by the area of the true box, px: beyond 32 and 96 px squared.
SIZES = {
    "all": (0.0, np.inf),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, np.inf),
}


@dataclass(frozen=True)
class PictureHands:
    """The hands of one picture, true or predicted.

    Attributes:
        boxes: (N, 4) xyxy px from the picture's border.
        sides: (N,) LEFT, RIGHT or UNKNOWN.
        scores: (N,) confidence of predictions; None for true hands.
        keypoints: (N, 21, 2) px from the middle of the first pixel, NaN where unknown; None when
            there are none.
    """

    boxes: np.ndarray
    sides: np.ndarray
    scores: np.ndarray | None = None
    keypoints: np.ndarray | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        shapes = {
            "boxes": (self.boxes, (count, 4)),
            "sides": (self.sides, (count,)),
            "scores": (self.scores, (count,)),
            "keypoints": (self.keypoints, (count, NUM_JOINTS, 2)),
        }
        for name, (value, shape) in shapes.items():
            if value is not None and value.shape != shape:
                raise ValueError(f"{name} has shape {value.shape}, not {shape}")

    def __len__(self) -> int:
        return len(self.boxes)


Pictures = Sequence[tuple[PictureHands, PictureHands]]  # (true, predicted) of each picture


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of xyxy boxes (N, 4) and (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area_1, area_2 = (np.clip(b[:, 2:] - b[:, :2], 0, None).prod(-1) for b in (first, second))
    return shared / np.maximum(area_1[:, None] + area_2[None] - shared, 1e-9)


def best_pairs(likeness: np.ndarray, least: float) -> list[tuple[int, int]]:
    """(row, column) of the likeliest pairs of a matrix (N, M), best first; each is taken once.

    Args:
        likeness: such as :func:`box_iou`.
        least: pairs below it are none.
    """
    pairs: list[tuple[int, int]] = []
    rows, columns = set(range(likeness.shape[0])), set(range(likeness.shape[1]))
    for index in np.argsort(-likeness, axis=None, kind="stable"):
        row, column = divmod(int(index), likeness.shape[1])
        if likeness[row, column] < least:
            break
        if row in rows and column in columns:
            pairs.append((row, column))
            rows.remove(row)
            columns.remove(column)
    return pairs


def average_precision(
    pictures: Pictures, iou: float = 0.5, side: int | None = None, size: str = "all"
) -> float:
    """COCO average precision of boxes at one IoU; NaN when no such hand is there to be found.

    Args:
        pictures: true and predicted hands of each picture.
        iou: from which a predicted box counts as found.
        side: LEFT or RIGHT asks for hands of that side only; None ignores sides.
        size: one of `SIZES`; hands of other sizes are neither asked for nor held against anyone.
    """
    return area_under_curve(_questions(pictures, side, size), iou)


def mean_average_precision(
    pictures: Pictures,
    ious: Sequence[float] = COCO_IOUS,
    by_side: bool = False,
    size: str = "all",
) -> float:
    """Mean of :func:`average_precision` over `ious`, and over both sides if `by_side`.

    A side without true hands is left out of the mean; NaN without any true hand.
    """
    values = []
    for side in (LEFT, RIGHT) if by_side else (None,):
        questions = _questions(pictures, side, size)
        values += [area_under_curve(questions, iou) for iou in ious]
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def hands_of_size(pictures: Pictures, size: str) -> int:
    """How many true hands are of a size."""
    return sum(int(_in_range(true.boxes, size).sum()) for true, _ in pictures)


def recall(pictures: Pictures, score: float, iou: float = 0.5) -> float:
    """Share of true hands found by predictions of at least `score`, sides ignored; NaN if none."""
    wanted = sum(len(true) for true, _ in pictures)
    found = sum(
        int((found_hands(true, at_least(predicted, score), iou) >= 0).sum())
        for true, predicted in pictures
    )
    return found / wanted if wanted else float("nan")


def false_positives(pictures: Pictures, score: float, iou: float = 0.5) -> float:
    """Predictions of at least `score` that lie on no true hand, a picture; NaN without pictures."""
    wrong = 0
    for true, predicted in pictures:
        kept = at_least(predicted, score)
        wrong += int((found_hands(true, kept, iou) < 0).sum())
    return wrong / len(pictures) if pictures else float("nan")


def handedness_accuracy(
    pictures: Pictures, score: float = 0.0, iou: float = 0.5
) -> tuple[float, int]:
    """Share of found hands of known side whose side is right, and how many those hands are."""
    right = count = 0
    for true, predicted in pictures:
        kept = at_least(predicted, score)
        match = found_hands(true, kept, iou)
        for prediction, hand in enumerate(match):
            if hand >= 0 and true.sides[hand] != UNKNOWN:
                count += 1
                right += int(kept.sides[prediction] == true.sides[hand])
    return (right / count if count else float("nan")), count


def found_hands(true: PictureHands, predicted: PictureHands, iou: float) -> np.ndarray:
    """For each predicted hand the index of the true one it finds, or -1; sides ignored."""
    overlap = box_iou(predicted.boxes, true.boxes)
    return match(overlap, scores_of(predicted), iou, [np.ones(len(true), bool)])


def scores_of(predicted: PictureHands) -> np.ndarray:
    """The scores of predicted hands, which must have some."""
    if predicted.scores is None:
        raise ValueError("predicted hands need scores")
    return predicted.scores


def at_least(hands: PictureHands, score: float) -> PictureHands:
    """The predicted hands of at least that score."""
    keep = scores_of(hands) >= score
    return PictureHands(
        hands.boxes[keep],
        hands.sides[keep],
        scores_of(hands)[keep],
        None if hands.keypoints is None else hands.keypoints[keep],
    )


def _questions(pictures: Pictures, side: int | None, size: str) -> list[Question]:
    return [_question(true, predicted, side, size) for true, predicted in pictures]


def _question(true: PictureHands, predicted: PictureHands, side: int | None, size: str) -> Question:
    given = slice(None) if side is None else predicted.sides == side
    boxes = predicted.boxes[given]
    asked = np.ones(len(true), bool) if side is None else true.sides == side
    unsure = np.zeros(len(true), bool) if side is None else true.sides == UNKNOWN
    fits = _in_range(true.boxes, size)
    return Question(
        likeness=box_iou(boxes, true.boxes),
        scores=scores_of(predicted)[given],
        wanted=asked & fits,
        tolerated=unsure | (asked & ~fits),
        judged=_in_range(boxes, size),
    )


def _in_range(boxes: np.ndarray, size: str) -> np.ndarray:
    low, high = SIZES[size]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (area >= low) & (area <= high)
