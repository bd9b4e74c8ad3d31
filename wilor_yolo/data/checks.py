"""Does a labelled hand look like a hand: bone lengths, joint order, unit, projection."""

from __future__ import annotations

import numpy as np

from ..errors import HandError
from ..geometry import project
from ..skeleton import EDGES
from .joint_orders import MISTAKEN_ORDERS

__all__ = ["check_joints", "check_projection"]

# Metres, in the order of EDGES: the free hand at rest, mean shape. Random poses and shapes of it
# stay within a factor of 1.4 of these after a common scale.
_BONES = np.array(
    [44, 30, 37, 29, 105, 26, 24, 26, 101, 34, 28, 26, 97, 30, 25, 27, 94, 22, 16, 20]
) / 1000.0  # fmt: skip
_EDGES = np.array(EDGES)
_FACTOR = 1.9  # a bone this much longer or shorter than the others let expect is wrong
_MOST_WRONG = 3  # bones; one bad joint spoils two
_SCALES = (0.5, 1.8)  # of a hand, over the free hand: a toddler's to a giant's
_MARGIN = 0.05  # mean log-length misfit by which another order must beat ours
_FAR = 0.1  # median distance of projected and labelled joints, share of the box


def check_joints(joints: np.ndarray) -> None:
    """Raise unless 21 joints have the bones of a hand in our order.

    Args:
        joints: (21, 3) metres, any frame.

    Raises:
        HandError: numbers that are not finite, another unit, another joint order, or bones no
            hand has. The message says which.
    """
    if not np.isfinite(joints).all():
        raise HandError("keypoints_3d holds NaN or infinity")
    ratios = _log_ratios(joints)
    scale = float(np.exp(np.median(ratios)))
    if not _SCALES[0] <= scale <= _SCALES[1]:
        unit = " (millimetres?)" if 400 < scale < 2500 else " (centimetres?)" if scale > 40 else ""
        raise HandError(f"bones are {scale:.3g} times those of a hand in metres{unit}")
    own = _misfit(ratios)
    others = {
        name: _misfit(_log_ratios(joints[list(order)])) for name, order in MISTAKEN_ORDERS.items()
    }
    best = min(others, key=lambda name: others[name])
    if others[best] < own - _MARGIN:
        raise HandError(f"joints look as if they were in {best}; check the joint order")
    wrong = int((np.abs(ratios - np.median(ratios)) > np.log(_FACTOR)).sum())
    if wrong > _MOST_WRONG:
        raise HandError(f"{wrong} of 20 bones have lengths no hand has; check the joint order")


def check_projection(joints: np.ndarray, intrinsics: np.ndarray, keypoints: np.ndarray) -> None:
    """Raise unless 3D joints fall on the 2D keypoints.

    Args:
        joints: (21, 3) metres, camera frame.
        intrinsics: (3, 3) px.
        keypoints: (21, 3) px and confidence; those of confidence 0 do not count.

    Raises:
        HandError: behind the camera, or far off.
    """
    known = keypoints[:, 2] > 0
    if not known.any():
        return
    if (joints[:, 2] <= 0).any():
        raise HandError("3D joints lie behind the camera; are the axes OpenGL's (z backwards)?")
    off = np.linalg.norm(project(joints, intrinsics) - keypoints[:, :2], axis=1)[known]
    side = max(float(np.ptp(keypoints[known, :2], axis=0).max()), 1.0)
    if np.median(off) > _FAR * side:
        raise HandError(
            f"3D joints project {np.median(off):.0f} px away from the 2D ones (hand: {side:.0f} px)"
        )


def _log_ratios(joints: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(joints[_EDGES[:, 1]] - joints[_EDGES[:, 0]], axis=1)
    return np.log(np.maximum(lengths, 1e-9) / _BONES)


def _misfit(ratios: np.ndarray) -> float:
    return float(np.abs(ratios - np.median(ratios)).mean())
