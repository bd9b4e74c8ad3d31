"""Hands that were fitted, and whether to believe the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["ACCEPTED", "FittedHands"]

ACCEPTED = "converged"


@dataclass(frozen=True)
class FittedHands:
    """N fitted hands.

    The parameters describe right hands (a left hand in the mirrored camera frame, x -> -x); the
    rest is un-mirrored, in the camera frame of the picture.

    Attributes:
        global_orient: (N, 3) axis-angle; hand_pose: (N, 45); betas: (N, 10); cam_t_right: (N, 3)
            metres: right-hand view.
        vertices: (N, 778, 3) and joints: (N, 21, 3), metres; add `cam_t` (N, 3) for camera space.
        keypoints_2d: (N, 21, 2) px, projected.
        residual: (N,) mean landmark distance in hand sizes, weighted by confidence.
        angle_violation: (N,) radians; prior_energy: (N,) metres^2.
        status: "converged", or why the fit is rejected: "landmarks" (too few), "residual",
            "angles", "unsettled" (still moving) or "diverged".
    """

    global_orient: np.ndarray
    hand_pose: np.ndarray
    betas: np.ndarray
    cam_t_right: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    cam_t: np.ndarray
    keypoints_2d: np.ndarray
    residual: np.ndarray
    angle_violation: np.ndarray
    prior_energy: np.ndarray
    status: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.status)

    @property
    def converged(self) -> np.ndarray:
        """(N,) bool."""
        return np.array([status == ACCEPTED for status in self.status], bool)

    @classmethod
    def none(cls) -> FittedHands:
        """No hands."""

        def zeros(*shape: int) -> np.ndarray:
            return np.zeros((0, *shape), np.float32)

        return cls(
            zeros(3),
            zeros(45),
            zeros(10),
            zeros(3),
            zeros(778, 3),
            zeros(21, 3),
            zeros(3),
            zeros(21, 2),
            zeros(),
            zeros(),
            zeros(),
            (),
        )

    @classmethod
    def joined(cls, parts: Sequence[FittedHands]) -> FittedHands:
        """All hands of several batches."""
        arrays = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in cls.__dataclass_fields__
            if name != "status"
        }
        return cls(**arrays, status=tuple(s for part in parts for s in part.status))
