"""Measures of a hand detector: pure functions on boxes, sides and keypoints.

Average precision follows COCO: predictions of all pictures are sorted by score, each is matched to
the free true box of highest IoU in its picture, and precision is read at 101 recalls from its upper
envelope. A true hand of unknown side (`UNKNOWN`) counts for the class-agnostic measures; in the
class-aware ones it is neither asked for nor held against a prediction that finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..skeleton import LEFT, NUM_JOINTS, RIGHT

__all__ = [
    "COCO_IOUS",
    "KEYPOINT_SIGMAS",
    "UNKNOWN",
    "PictureHands",
    "average_precision",
    "box_iou",
    "false_positives",
    "handedness_accuracy",
    "keypoint_error",
    "mean_average_precision",
    "recall",
]

COCO_IOUS = tuple(np.arange(50, 100, 5) / 100)  # paper section 5.1: AP at 0.5, mAP at 0.5:0.05:0.95
# Spread of people's clicks on each joint in units of hand size, as COCO-WholeBody publishes them
# for its hands; the default of Ultralytics (1/21 each) forgives twice as much.
KEYPOINT_SIGMAS = (
    *(0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024),
    *(0.022, 0.026, 0.017, 0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031),
)
UNKNOWN = -1  # side of a true hand nobody knows the side of
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class PictureHands:
    """The hands of one picture, true or predicted.

    Attributes:
        boxes: (N, 4) xyxy px.
        sides: (N,) LEFT, RIGHT or UNKNOWN.
        scores: (N,) confidence of predictions; None for true hands.
        keypoints: (N, 21, 2) px, NaN where unknown; None when there are none.
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


def average_precision(pictures: Pictures, iou: float = 0.5, side: int | None = None) -> float:
    """COCO average precision at one IoU; NaN when no such hand is there to be found.

    Args:
        pictures: true and predicted hands of each picture.
        iou: from which a predicted box counts as found.
        side: LEFT or RIGHT asks for hands of that side only; None ignores sides.
    """
    scores, hits, wanted = [], [], 0
    for true, predicted in pictures:
        asked, given = _of_side(true, predicted, side)
        wanted += int(asked.sum())
        match = _match(true, predicted, iou, side)[given]
        # A prediction on a hand of unknown side is neither right nor wrong.
        counted = np.array([m < 0 or asked[m] for m in match], bool)
        scores.append(_scores(predicted)[given][counted])
        hits.append((match >= 0)[counted])
    if wanted == 0:
        return float("nan")
    order = np.argsort(-np.concatenate(scores), kind="stable")
    found = np.cumsum(np.concatenate(hits)[order])
    if len(found) == 0:
        return 0.0
    reached = found / wanted
    precision = np.maximum.accumulate((found / np.arange(1, len(found) + 1))[::-1])[::-1]
    at = np.searchsorted(reached, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[at].mean())


def mean_average_precision(
    pictures: Pictures, ious: Sequence[float] = COCO_IOUS, by_side: bool = False
) -> float:
    """Mean of :func:`average_precision` over `ious`, and over both sides if `by_side`.

    A side without true hands is left out of the mean; NaN without any true hand.
    """
    values = [
        average_precision(pictures, iou, side)
        for side in ((LEFT, RIGHT) if by_side else (None,))
        for iou in ious
    ]
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def recall(pictures: Pictures, score: float, iou: float = 0.5) -> float:
    """Share of true hands found by predictions of at least `score`, sides ignored; NaN if none."""
    wanted = sum(len(true) for true, _ in pictures)
    found = sum(
        int((_match(true, _at_least(predicted, score), iou, None) >= 0).sum())
        for true, predicted in pictures
    )
    return found / wanted if wanted else float("nan")


def false_positives(pictures: Pictures, score: float, iou: float = 0.5) -> float:
    """Predictions of at least `score` that lie on no true hand, a picture; NaN without pictures."""
    wrong = 0
    for true, predicted in pictures:
        kept = _at_least(predicted, score)
        wrong += int((_match(true, kept, iou, None) < 0).sum())
    return wrong / len(pictures) if pictures else float("nan")


def handedness_accuracy(
    pictures: Pictures, score: float = 0.0, iou: float = 0.5
) -> tuple[float, int]:
    """Share of found hands of known side whose side is right, and how many those hands are."""
    right = count = 0
    for true, predicted in pictures:
        kept = _at_least(predicted, score)
        match = _match(true, kept, iou, None)
        for prediction, hand in enumerate(match):
            if hand >= 0 and true.sides[hand] != UNKNOWN:
                count += 1
                right += int(kept.sides[prediction] == true.sides[hand])
    return (right / count if count else float("nan")), count


def keypoint_error(pictures: Pictures, score: float = 0.0, iou: float = 0.5) -> tuple[float, int]:
    """Mean keypoint distance on found hands in units of the hand's size, and the hands counted.

    The size of a hand is the larger side of its true box.
    """
    errors = []
    for true, predicted in pictures:
        kept = _at_least(predicted, score)
        if true.keypoints is None or kept.keypoints is None:
            continue
        for prediction, hand in enumerate(_match(true, kept, iou, None)):
            if hand < 0 or np.isnan(true.keypoints[hand]).all():
                continue
            distance = np.linalg.norm(kept.keypoints[prediction] - true.keypoints[hand], axis=-1)
            size = (true.boxes[hand, 2:] - true.boxes[hand, :2]).max()
            errors.append(np.nanmean(distance) / max(size, 1e-9))
    return (float(np.mean(errors)) if errors else float("nan")), len(errors)


def _scores(predicted: PictureHands) -> np.ndarray:
    if predicted.scores is None:
        raise ValueError("predicted hands need scores")
    return predicted.scores


def _at_least(hands: PictureHands, score: float) -> PictureHands:
    keep = _scores(hands) >= score
    return PictureHands(
        hands.boxes[keep],
        hands.sides[keep],
        _scores(hands)[keep],
        None if hands.keypoints is None else hands.keypoints[keep],
    )


def _of_side(
    true: PictureHands, predicted: PictureHands, side: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the true hands asked for and of the predictions that answer."""
    if side is None:
        return np.ones(len(true), bool), np.ones(len(predicted), bool)
    return true.sides == side, predicted.sides == side


def _match(true: PictureHands, predicted: PictureHands, iou: float, side: int | None) -> np.ndarray:
    """For each prediction the index of the true hand it finds, or -1; best scores choose first.

    With a `side`, only predictions of that side are matched, to true hands of that side first and
    then to hands of unknown side.
    """
    match = np.full(len(predicted), -1)
    asked, given = _of_side(true, predicted, side)
    overlap = box_iou(predicted.boxes, true.boxes)
    free = np.ones(len(true), bool)
    rounds = [asked] if side is None else [asked, true.sides == UNKNOWN]
    for index in np.argsort(-_scores(predicted), kind="stable"):
        if not given[index]:
            continue
        for allowed in rounds:
            candidates = np.where(allowed & free, overlap[index], 0.0)
            if candidates.size and candidates.max() >= iou:
                match[index] = int(candidates.argmax())
                free[match[index]] = False
                break
    return match
