"""Geometry of MediaPipe's palm detector: anchors, boxes, and the turned square around the hand.

Zhang et al. 2020, "MediaPipe Hands". Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..metrics.detection import box_iou

__all__ = ["PALM_INPUT", "Palms", "anchor_centres", "decode_palms", "hand_square", "merge_palms"]

PALM_INPUT = 192  # px
# Grid cells of 8 and 16 px; the coarse grid is three layers deep, two anchors a cell and layer.
_GRIDS = ((8, 2), (16, 6))
_KEYPOINTS = 7
_WRIST, _MIDDLE_KNUCKLE = 0, 2
_HAND_SCALE, _HAND_SHIFT = 2.6, -0.5  # the hand's square in palm boxes, moved towards the fingers
_SCORE_CLIP = 100.0


@dataclass(frozen=True)
class Palms:
    """Palms in pixels of the detector's input.

    Attributes:
        boxes: (N, 4) xyxy.
        keypoints: (N, 7, 2); the first is the wrist, the third the middle finger's knuckle.
        scores: (N,) 0 to 1.
    """

    boxes: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray


def anchor_centres() -> np.ndarray:
    """(2016, 2) x, y of the anchors, px of the input."""
    layers = []
    for stride, each in _GRIDS:
        cells = PALM_INPUT // stride
        y, x = np.mgrid[:cells, :cells]
        centres = (np.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride
        layers.append(np.repeat(centres, each, axis=0))
    return np.concatenate(layers)


def decode_palms(
    regression: np.ndarray, logits: np.ndarray, anchors: np.ndarray, threshold: float
) -> Palms:
    """Palms above a score, not yet merged.

    Args:
        regression: (2016, 18) centre offset, width, height and 7 keypoint offsets, px.
        logits: (2016,).
        anchors: from :func:`anchor_centres`.
        threshold: lowest score.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -_SCORE_CLIP, _SCORE_CLIP)))
    keep = scores >= threshold
    raw, centre = regression[keep].astype(np.float64), anchors[keep]
    middle, half = raw[:, :2] + centre, raw[:, 2:4] / 2
    keypoints = raw[:, 4:].reshape(-1, _KEYPOINTS, 2) + centre[:, None]
    return Palms(np.concatenate((middle - half, middle + half), 1), keypoints, scores[keep])


def merge_palms(palms: Palms, iou: float = 0.3) -> Palms:
    """Weighted suppression: overlapping palms become one, their mean weighted by their scores."""
    order = np.argsort(-palms.scores, kind="stable")
    overlap = box_iou(palms.boxes, palms.boxes)
    boxes, keypoints, scores = [], [], []
    while len(order):
        near = order[overlap[order[0], order] > iou]
        near = near if len(near) else order[:1]  # a box without area does not overlap itself
        weights = palms.scores[near]
        boxes.append(np.average(palms.boxes[near], axis=0, weights=weights))
        keypoints.append(np.average(palms.keypoints[near], axis=0, weights=weights))
        scores.append(weights[0])
        order = order[~np.isin(order, near)]
    return Palms(
        np.array(boxes).reshape(-1, 4),
        np.array(keypoints).reshape(-1, _KEYPOINTS, 2),
        np.array(scores),
    )


def hand_square(box: np.ndarray, keypoints: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The turned square the landmark network looks at.

    Args:
        box: (4,) palm, xyxy px.
        keypoints: (7, 2) px.

    Returns:
        Centre (2,) px, side px, and the angle (radians, clockwise in the picture) that the square
        is turned by: its top lies towards the fingers.
    """
    along = keypoints[_MIDDLE_KNUCKLE] - keypoints[_WRIST]
    angle = float(np.arctan2(along[0], -along[1]))
    size = box[2:] - box[:2]
    shift = _HAND_SHIFT * size[1]
    centre = (box[:2] + box[2:]) / 2 + shift * np.array([-np.sin(angle), np.cos(angle)])
    return centre, float(size.max() * _HAND_SCALE), angle
