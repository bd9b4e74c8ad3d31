"""Measures of a hand detector's keypoints: pure functions.

OKS is COCO's object keypoint similarity. Its scale is 0.53 times the area of the true box, as in
Ultralytics, because hands have no segmentation; its sigmas are those COCO-WholeBody publishes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .detection import (
    COCO_IOUS,
    KEYPOINT_SIGMAS,
    PictureHands,
    Pictures,
    at_least,
    box_iou,
    found_hands,
    scores_of,
)
from .precision_curve import Question, area_under_curve

__all__ = ["keypoint_average_precision", "keypoint_error", "oks", "pck"]

_AREA_SHARE = 0.53  # of the true box
_SAME_HAND = 0.5  # box IoU


def oks(predicted: np.ndarray, true: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Object keypoint similarity (P, T), 0 to 1; 0 for true hands without a known keypoint.

    Args:
        predicted: (P, 21, 2) px; NaN, where nothing is predicted, is as far off as can be.
        true: (T, 21, 2) px, NaN where unknown.
        areas: (T,) px squared, the scale of each true hand.
    """
    square = ((predicted[:, None] - true[None]) ** 2).sum(-1)
    spread = (2 * np.array(KEYPOINT_SIGMAS)) ** 2
    likeness = np.exp(-square / (2 * spread * np.maximum(areas, 1e-9)[None, :, None]))
    known = np.isfinite(true).all(-1)
    return np.where(known, np.nan_to_num(likeness, nan=0.0), 0).sum(-1) / np.maximum(
        known.sum(-1), 1
    )


def keypoint_average_precision(
    pictures: Pictures, thresholds: Sequence[float] = COCO_IOUS
) -> float:
    """Mean over OKS thresholds of the average precision of keypoints, sides ignored.

    Hands whose keypoints nobody knows are neither asked for nor held against a prediction that
    finds their box. NaN when no true hand has keypoints, or no prediction ever has any.
    """
    given = [p for _, p in pictures if len(p)]
    if given and all(predicted.keypoints is None for predicted in given):
        return float("nan")
    questions = [_question(true, predicted) for true, predicted in pictures]
    return float(np.mean([area_under_curve(questions, at) for at in thresholds]))


def keypoint_error(pictures: Pictures, score: float = 0.0, iou: float = 0.5) -> tuple[float, int]:
    """Mean keypoint distance on found hands in units of the hand's size, and the hands counted.

    The size of a hand is the larger side of its true box. Keypoints the prediction leaves open are
    not counted here; `pck` counts them as missed.
    """
    rows = [row[np.isfinite(row)] for row in _distances(pictures, score, iou)]
    errors = [float(row.mean()) for row in rows if len(row)]
    return (float(np.mean(errors)) if errors else float("nan")), len(errors)


def pck(
    pictures: Pictures, threshold: float, score: float = 0.0, iou: float = 0.5
) -> tuple[float, int]:
    """Share of keypoints of found hands within `threshold` hand sizes, and the keypoints counted.

    The size of a hand is the larger side of its true box.
    """
    rows = _distances(pictures, score, iou)
    distances = np.concatenate([row[~np.isnan(row)] for row in rows] or [np.zeros(0)])
    count = len(distances)
    return (float((distances <= threshold).mean()) if count else float("nan")), count


def _distances(pictures: Pictures, score: float, iou: float) -> list[np.ndarray]:
    """(21,) a found hand with keypoints: distances over the hand's size, NaN where the truth is
    unknown, infinite where only the prediction is."""
    rows = []
    for true, predicted in pictures:
        kept = at_least(predicted, score)
        if true.keypoints is None or kept.keypoints is None:
            continue
        for prediction, hand in enumerate(found_hands(true, kept, iou)):
            if hand < 0 or np.isnan(true.keypoints[hand]).all():
                continue
            truth = true.keypoints[hand]
            distance = np.linalg.norm(kept.keypoints[prediction] - truth, axis=-1)
            distance[np.isnan(distance) & np.isfinite(truth).all(-1)] = np.inf
            size = (true.boxes[hand, 2:] - true.boxes[hand, :2]).max()
            rows.append(distance / max(float(size), 1e-9))
    return rows


def _question(true: PictureHands, predicted: PictureHands) -> Question:
    shape = (len(predicted), len(true))
    points = true.keypoints
    posed = np.zeros(len(true), bool) if points is None else np.isfinite(points).any((1, 2))
    likeness = np.zeros(shape)
    if points is not None and predicted.keypoints is not None:
        areas = _AREA_SHARE * (true.boxes[:, 2:] - true.boxes[:, :2]).prod(1)
        likeness = oks(predicted.keypoints, points, areas)
    same = (box_iou(predicted.boxes, true.boxes) >= _SAME_HAND).astype(float)
    return Question(
        likeness=np.where(posed, likeness, same),
        scores=scores_of(predicted),
        wanted=posed,
        tolerated=~posed,
        judged=np.ones(len(predicted), bool),
    )
