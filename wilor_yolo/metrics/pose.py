"""Errors of reconstructed hands: pure functions of numpy arrays.

Points are metres in, errors are millimetres out, as the field prints them (FreiHAND and HO3D
protocols). "PA" is after Procrustes alignment of each hand with its own points.
"""

from __future__ import annotations

import numpy as np

from .procrustes import align_similarity

__all__ = [
    "auc",
    "f_scores",
    "pa_errors",
    "point_errors",
    "relative_2d_errors",
    "root_relative_errors",
]

MM = 1000.0


def point_errors(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Distances (N, K) in millimetres between points (N, K, 3) in metres."""
    return np.linalg.norm(np.asarray(points) - np.asarray(target), axis=-1) * MM


def root_relative_errors(points: np.ndarray, target: np.ndarray, root: int = 0) -> np.ndarray:
    """Distances (N, K), mm, after moving one point (the wrist) of each hand to the origin."""
    points, target = np.asarray(points), np.asarray(target)
    return point_errors(points - points[:, root, None], target - target[:, root, None])


def pa_errors(
    points: np.ndarray, target: np.ndarray, use: tuple[int, ...] | None = None
) -> np.ndarray:
    """Distances, mm, after Procrustes alignment; their mean is PA-MPJPE or PA-MPVPE.

    Args:
        points, target: (N, K, 3) metres.
        use: align and score these points only.

    Returns:
        (N, K), or (N, len(use)).
    """
    points, target = np.asarray(points), np.asarray(target)
    if use is not None:
        points, target = points[:, list(use)], target[:, list(use)]
    return point_errors(align_similarity(points, target), target)


def f_scores(
    points: np.ndarray, target: np.ndarray, thresholds_mm: tuple[float, ...] = (5.0, 15.0)
) -> np.ndarray:
    """F-scores (N, T) of point clouds (N, K, 3) and (N, L, 3), metres, as they lie.

    Harmonic mean of the share of points nearer than a threshold to any target point and the share
    of target points so near to any point (Knapitsch et al. 2017; FreiHAND's F@5 and F@15, whose
    protocol does not count points just at the threshold).
    """
    limits = np.array(thresholds_mm) / MM
    scores = np.zeros((len(points), len(limits)))
    for i, (a, b) in enumerate(zip(points, target, strict=True)):
        center = b.mean(axis=0)  # small numbers keep the expanded square exact
        a, b = a - center, b - center
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        to_target = np.sqrt(np.maximum(squared.min(axis=1), 0))
        from_target = np.sqrt(np.maximum(squared.min(axis=0), 0))
        precision = (to_target[:, None] < limits).mean(axis=0)
        recall = (from_target[:, None] < limits).mean(axis=0)
        scores[i] = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return scores


def auc(errors: np.ndarray, low: float = 0.0, high: float = 50.0, steps: int = 100) -> float:
    """Area under the PCK curve between two thresholds, normalised to 0..1.

    FreiHAND and HO3D use 0 to 50 mm in 100 steps.
    """
    errors = errors[np.isfinite(errors)]
    if not errors.size:
        return float("nan")
    thresholds = np.linspace(low, high, steps)
    curve = np.searchsorted(np.sort(errors.ravel()), thresholds, side="right") / errors.size
    # The trapezoidal rule; numpy 2 renamed its function for it.
    area = ((curve[1:] + curve[:-1]) / 2 * np.diff(thresholds)).sum()
    return float(area / (high - low))


def relative_2d_errors(
    points: np.ndarray, target: np.ndarray, box_side: np.ndarray, least_confidence: float = 0.0
) -> np.ndarray:
    """2D distances as a share of the hand box.

    Args:
        points: (N, K, 2) px.
        target: (N, K, 3) px and confidence.
        box_side: (N,) longer side of the box, px.
        least_confidence: targets at or below it are NaN in the result.

    Returns:
        (N, K).
    """
    distance = np.linalg.norm(np.asarray(points) - target[..., :2], axis=-1)
    relative = distance / np.asarray(box_side)[:, None]
    return np.where(target[..., 2] > least_confidence, relative, np.nan)
