"""Rotations of joints and of what hangs from them, in numpy."""

from __future__ import annotations

import numpy as np

from ..skeleton import MANO_PARENTS

__all__ = ["down_the_tree", "rotation_matrices"]


def rotation_matrices(axis_angle: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of axis-angle vectors (..., 3), radians (Rodrigues)."""
    axis_angle = np.asarray(axis_angle, dtype=np.float64)
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(axis_angle / np.maximum(angle[..., 0], 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def down_the_tree(rotations: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orientations (16, 3, 3) and places (16, 3) of the joints of a posed hand, metres.

    Args:
        rotations: (16, 3, 3) of each joint relative to its parent, MANO order.
        rest: (16, 3) places of the joints of the flat hand.
    """
    turn, place = rotations.copy(), rest.copy()
    for j in range(1, 16):
        p = MANO_PARENTS[j]
        turn[j] = turn[p] @ rotations[j]
        place[j] = place[p] + turn[p] @ (rest[j] - rest[p])
    return turn, place
