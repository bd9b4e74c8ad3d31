"""Similarity alignment of point sets in numpy. Reflections are forbidden: a left hand must not
pass for a right one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Similarity", "align_similarity", "fit_similarity"]


@dataclass(frozen=True)
class Similarity:
    """x -> scale * x @ rotation.T + translation, one per row of a batch.

    Attributes:
        scale: (N,).
        rotation: (N, 3, 3), determinant +1.
        translation: (N, 3), unit of the target.
    """

    scale: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Transform points (N, K, 3)."""
        turned = points @ self.rotation.transpose(0, 2, 1)
        return self.scale[:, None, None] * turned + self.translation[:, None]


def fit_similarity(points: np.ndarray, target: np.ndarray) -> Similarity:
    """Least squares similarity that carries points on to a target (Umeyama 1991).

    Args:
        points, target: (N, K, 3) in any one unit.

    Returns:
        N similarities. Points that all coincide keep scale 1.
    """
    points = np.asarray(points, np.float64)
    target = np.asarray(target, np.float64)
    center, target_center = points.mean(axis=1), target.mean(axis=1)
    a, b = points - center[:, None], target - target_center[:, None]
    u, singular, vt = np.linalg.svd(b.transpose(0, 2, 1) @ a)
    flip = np.ones_like(singular)
    flip[:, 2] = np.sign(np.linalg.det(u @ vt))  # least damage: turn the weakest direction over
    rotation = (u * flip[:, None]) @ vt
    spread = np.square(a).sum(axis=(1, 2))
    scale = np.where(spread > 0, (singular * flip).sum(axis=1) / np.maximum(spread, 1e-30), 1.0)
    shift = target_center - scale[:, None] * np.einsum("nij,nj->ni", rotation, center)
    return Similarity(scale, rotation, shift)


def align_similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`points` (N, K, 3) moved, turned and scaled on to `target` (N, K, 3)."""
    return fit_similarity(points, target).apply(np.asarray(points, np.float64))
