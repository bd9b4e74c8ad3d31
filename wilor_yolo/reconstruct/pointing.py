"""Where a hand points to in its picture."""

from __future__ import annotations

import numpy as np

__all__ = ["KNUCKLES", "LEAST_TURN", "pointing", "upright_turn"]

KNUCKLES = (5, 9, 13)  # index, middle, ring
LEAST_TURN = np.deg2rad(15)  # hands that point up this well are not turned


def pointing(keypoints_2d: np.ndarray) -> np.ndarray:
    """Where hands point to: (N,) radians from up, clockwise on the screen, in -pi to pi.

    Args:
        keypoints_2d: (N, 21, 2), y down, any unit. Wrist to knuckles counts.
    """
    along = keypoints_2d[:, KNUCKLES].mean(axis=1) - keypoints_2d[:, 0]
    return np.arctan2(along[:, 0], -along[:, 1])


def upright_turn(keypoints_2d: np.ndarray) -> np.ndarray:
    """By how much to turn crops so that their hands point up: (N,) radians, clockwise.

    0 for hands that are less than `LEAST_TURN` off.

    Args:
        keypoints_2d: (N, 21, 2), as for :func:`pointing`.
    """
    angle = pointing(keypoints_2d)
    return np.where(np.abs(angle) > LEAST_TURN, -angle, 0.0)
