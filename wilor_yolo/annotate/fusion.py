"""One hand out of what several detectors say of it (paper section 3, Eq. 1). Pure functions.

Boxes are grouped so that a group holds at most one candidate of each detector; then

    box = sum_i P(b_i | d_i) b_i / sum_i P(b_i | d_i)

and landmarks are fused with the same weights. Eq. 1 says nothing of the side: a voice for it weighs
P(b_i | d_i) times how sure the detector is of the side, so P(b_i | d_i)^2 where that is not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..metrics.detection import UNKNOWN, box_iou
from ..skeleton import LEFT, NUM_JOINTS, RIGHT
from .candidates import HandCandidates

__all__ = [
    "FusedHand",
    "agreement",
    "fuse",
    "fuse_boxes",
    "fuse_keypoints",
    "group_candidates",
    "suppress_doubles",
    "vote_side",
]

SAME_HAND_IOU = 0.3  # detectors draw hands differently tight, some with the wrist and some without
OWN_DOUBLE_IOU = 0.45  # from where two boxes of one detector (full frame, person crop) are one hand
OUTLIER = 0.15  # of the hand's larger side: landmarks further from the others' middle are wrong


@dataclass(frozen=True)
class FusedHand:
    """One hand of a picture.

    Attributes:
        box: (4,) xyxy px.
        confidence: 0 to 1, mean over all detectors that looked; one that missed it counts as 0.
        side: LEFT, RIGHT or UNKNOWN (nobody says, or a tie).
        side_margin: 0 (tie) to 1 (unanimous).
        keypoints: (21, 3) x px, y px, confidence 0 to 1, or None.
        agreement: 0 to 1, mean IoU over the pairs of detectors that looked, a pair of which one
            missed the hand counting as 0; NaN when only one detector looked.
        votes: name of each detector that found the hand, and its confidence.
        joints_3d: (21, 3) the heaviest detector's guess in 3D (see `HandCandidates`), or None.
    """

    box: np.ndarray
    confidence: float
    side: int
    side_margin: float
    keypoints: np.ndarray | None
    agreement: float
    votes: dict[str, float]
    joints_3d: np.ndarray | None = None


def fuse(
    found: dict[str, HandCandidates | None],
    trust: dict[str, float] | None = None,
    same_hand_iou: float = SAME_HAND_IOU,
    outlier: float = OUTLIER,
) -> list[FusedHand]:
    """Fuse the results of several detectors on one picture, most confident hand first.

    Args:
        found: candidates by detector; None for one that did not look (it failed, or has nothing
            on file), which is then no voice against a hand.
        trust: factor on the confidence of a detector as a weight, 1 by default: scores of
            different detectors do not mean the same.
        same_hand_iou: from where candidates of two detectors may be one hand.
        outlier: see :func:`fuse_keypoints`.
    """
    looked = {
        name: suppress_doubles(candidates)
        for name, candidates in found.items()
        if candidates is not None
    }
    names = list(looked)
    groups = group_candidates([looked[name].boxes for name in names], same_hand_iou)
    hands = []
    for group in groups:
        members = [looked[names[detector]][[index]] for detector, index in group]
        scores = np.array([float(member.confidence[0]) for member in members])
        weights = scores * [(trust or {}).get(names[detector], 1.0) for detector, _ in group]
        boxes = np.concatenate([member.boxes for member in members])
        box = fuse_boxes(boxes, weights)
        joined = HandCandidates.joined(members)
        sides, sure = np.asarray(joined.sides), np.asarray(joined.side_confidence)
        side, margin = vote_side(sides, weights * sure)
        keypoints = None
        if joined.keypoints is not None and joined.keypoints[..., 2].any():
            size = float((box[2:] - box[:2]).max())
            keypoints = fuse_keypoints(joined.keypoints, weights, size, outlier)
        votes = {
            names[detector]: float(score)
            for (detector, _), score in zip(group, scores, strict=True)
        }
        confidence = float(scores.sum() / len(names))
        shared = agreement(boxes, len(names))
        joints = _heaviest_3d(joined.joints_3d, weights)
        hands.append(FusedHand(box, confidence, side, margin, keypoints, shared, votes, joints))
    return sorted(hands, key=lambda hand: -hand.confidence)


def _heaviest_3d(joints: np.ndarray | None, weights: np.ndarray) -> np.ndarray | None:
    """Guesses in 3D have no common frame to be averaged in: the heaviest one that is complete."""
    if joints is None or len(joints) != len(weights):
        return None
    complete = np.isfinite(joints).all((1, 2))
    if not complete.any():
        return None
    return joints[np.where(complete, weights, -1.0).argmax()]


def suppress_doubles(candidates: HandCandidates, iou: float = OWN_DOUBLE_IOU) -> HandCandidates:
    """Keep one detector's best box of each hand: it has one vote, however often it looked."""
    kept: list[int] = []
    overlap = box_iou(candidates.boxes, candidates.boxes)
    for index in np.argsort(-candidates.confidence, kind="stable"):
        if not any(overlap[index, other] >= iou for other in kept):
            kept.append(int(index))
    return candidates[kept]


def group_candidates(
    boxes: Sequence[np.ndarray], same_hand_iou: float = SAME_HAND_IOU
) -> list[list[tuple[int, int]]]:
    """Group the boxes of one hand across detectors.

    Pairs of boxes of different detectors are joined from the highest IoU down, unless the groups
    they are in already hold boxes of one and the same detector: two crossed hands stay two.

    Args:
        boxes: (N_d, 4) xyxy px for each detector d.

    Returns:
        Groups of (detector, index); every box is in exactly one.
    """
    group_of = {(d, i): {(d, i)} for d, own in enumerate(boxes) for i in range(len(own))}
    pairs = []
    for first, second in combinations(range(len(boxes)), 2):
        overlap = box_iou(boxes[first], boxes[second])
        for i, j in zip(*np.nonzero(overlap >= same_hand_iou), strict=True):
            pairs.append((-overlap[i, j], (first, int(i)), (second, int(j))))
    for _, one, other in sorted(pairs):
        a, b = group_of[one], group_of[other]
        if a is not b and not {d for d, _ in a} & {d for d, _ in b}:
            a |= b
            for member in b:
                group_of[member] = a
    unique = {id(group): sorted(group) for group in group_of.values()}
    return sorted(unique.values())


def fuse_boxes(boxes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Eq. 1: the weighted mean (4,) of boxes (N, 4); plain mean if all weights are 0."""
    return np.average(boxes, axis=0, weights=weights if weights.sum() > 0 else None)


def vote_side(sides: np.ndarray, weights: np.ndarray) -> tuple[int, float]:
    """Weighted vote over sides (N,), and its margin |L - R| / (L + R); UNKNOWN abstains."""
    left, right = (float(weights[sides == side].sum()) for side in (LEFT, RIGHT))
    if np.isclose(left, right):
        return UNKNOWN, 0.0
    return (LEFT if left > right else RIGHT), abs(left - right) / (left + right)


def fuse_keypoints(
    keypoints: np.ndarray, weights: np.ndarray, size: float, outlier: float = OUTLIER
) -> np.ndarray:
    """Fuse the landmarks of one hand.

    Each joint's middle is the candidate with the smallest weighted sum of distances to the others
    (of two, the heavier one). Candidates further than `outlier` of the hand's size from it are
    thrown out, the rest averaged.

    Args:
        keypoints: (N, 21, 3) x px, y px, confidence; 0 means unknown.
        weights: (N,) detectors' weights; a joint weighs this times its confidence.
        size: larger side of the hand's box, px.
        outlier: share of `size`.

    Returns:
        (21, 3) x px, y px, confidence: the mean confidence, by `weights`, of all detectors with
        landmarks, a thrown out or unknown joint counting as 0.
    """
    has_any = keypoints[..., 2].any(1)
    keypoints, weights = keypoints[has_any], np.maximum(weights[has_any], 1e-9)
    fused = np.zeros((NUM_JOINTS, 3))
    for joint in range(NUM_JOINTS):
        places, weight = keypoints[:, joint, :2], weights * keypoints[:, joint, 2]
        known = weight > 0
        if not known.any():
            continue
        places, weight = places[known], weight[known]
        distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
        cost = distance @ weight
        # Equal costs, as of two equal candidates: the heavier one, then the first.
        middle = np.lexsort((-weight, np.round(cost, 9)))[0]
        near = distance[middle] <= outlier * size
        fused[joint, :2] = np.average(places[near], axis=0, weights=weight[near])
        fused[joint, 2] = min(weight[near].sum() / weights.sum(), 1.0)
    return fused


def agreement(boxes: np.ndarray, looked: int) -> float:
    """Mean IoU over all pairs of the `looked` detectors; boxes (N, 4) are of those that found it.

    Returns:
        0 to 1, or NaN if only one detector looked.
    """
    if looked < 2:
        return float("nan")
    overlap = box_iou(boxes, boxes)
    shared = sum(float(overlap[i, j]) for i, j in combinations(range(len(boxes)), 2))
    return shared / (looked * (looked - 1) / 2)
