"""Flexion and abduction of the fifteen finger joints, in degrees.

Angles are read off the rotations of a hand model, not off the joints alone: a straight thumb does
not show its hinge, its rotation does. Zero is the model's flat hand. The order of the turns is that
of the joint coordinate system of biomechanics (Grood and Suntay 1983): flexion about an axis of
the bone before the joint, then abduction, then the turn of the bone about itself, which is left
out. So the angles stay clear of gimbal lock in a fist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .skeleton import FINGERS, MANO_PARENTS, MANO_TO_OPENPOSE

__all__ = ["ANGLE_NAMES", "JointAngles", "joint_angles"]

ANGLE_NAMES = tuple(
    f"{finger}_{joint}"
    for finger in FINGERS
    for joint in (("cmc", "mcp", "ip") if finger == "thumb" else ("mcp", "pip", "dip"))
)
# The flat right hand of MANO and of the free hand: fingers along -x, back of the hand +y, thumb +z.
_AHEAD, _BACK, _THUMB_SIDE = np.diag([-1.0, 1.0, 1.0])
# Hinge of the thumb's outer joints, that of the free hand (right-hand rule).
_THUMB_HINGE = np.array([0.0628, -0.9086, -0.4128])
_ENDS = np.array([4 * finger + k + 2 for finger in range(5) for k in range(3)])  # of 21 joints
_STARTS = _ENDS - 1
_MANO = np.array([MANO_TO_OPENPOSE[start] for start in _STARTS])  # of 16 joints


@dataclass(frozen=True)
class JointAngles:
    """Angles of N hands, either side, degrees; columns in the order of `ANGLE_NAMES`.

    Attributes:
        flexion: (N, 15), positive as a finger curls. Of `thumb_cmc`: across the palm towards the
            little finger; negative is the thumb stretched away in the plane of the palm.
        abduction: (N, 15), positive away from the middle finger, and of the middle finger towards
            the thumb. Of the thumb: out of the plane of the palm, to its inside. Of `pip`, `dip`
            and `ip`, which are hinges, it says how far the model's joint is off one.
    """

    flexion: np.ndarray
    abduction: np.ndarray

    def by_name(self, index: int) -> dict[str, tuple[float, float]]:
        """(flexion, abduction) of one hand, degrees, by joint."""
        pairs = zip(self.flexion[index].tolist(), self.abduction[index].tolist(), strict=True)
        return dict(zip(ANGLE_NAMES, pairs, strict=True))


def joint_angles(
    global_orient: np.ndarray, hand_pose: np.ndarray, joints: np.ndarray
) -> JointAngles:
    """The angles of N **right** hands.

    Args:
        global_orient: (N, 3, 3), hand_pose: (N, 15, 3, 3): rotations, MANO order.
        joints: (N, 21, 3) as these parameters pose them, any unit, any translation.
    """
    turns = np.concatenate((global_orient[:, None], hand_pose), axis=1).astype(np.float64)
    for j, parent in enumerate(MANO_PARENTS):
        if parent >= 0:
            turns[:, j] = turns[:, parent] @ turns[:, j]
    bones = joints[:, _ENDS].astype(np.float64) - joints[:, _STARTS]
    flat = _unit(np.einsum("njki,njk->nji", turns[:, _MANO], bones))  # in the flat hand
    bent = np.einsum("njik,njk->nji", hand_pose[:, _MANO - 1].astype(np.float64), flat)
    ahead, curled, aside = _axes(flat)
    flexion, abduction = (
        now - before
        for now, before in zip(
            _read(bent, ahead, curled, aside), _read(flat, ahead, curled, aside), strict=True
        )
    )
    return JointAngles(_degrees(flexion), _degrees(abduction))


def _axes(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each bone (N, 15, 3) points at flexion 0, at flexion 90 and fully abducted."""
    hinge = np.broadcast_to(_BACK, flat.shape)
    hinge = np.cross(hinge, flat)
    hinge[:, :3] = _THUMB_HINGE
    hinge = _unit(hinge - (hinge * flat).sum(-1, keepdims=True) * flat)
    ahead, curled, aside = flat.copy(), np.cross(hinge, flat), hinge
    aside[:, 9:] *= -1  # ring and little finger: away from the thumb
    # The thumb's saddle joint is measured against the palm.
    ahead[:, 0], curled[:, 0], aside[:, 0] = _THUMB_SIDE, _AHEAD, -_BACK
    return ahead, curled, aside


def _read(
    bones: np.ndarray, ahead: np.ndarray, curled: np.ndarray, aside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    along_ahead, along_curled, along_aside = (
        (bones * axis).sum(-1) for axis in (ahead, curled, aside)
    )
    return np.arctan2(along_curled, along_ahead), np.arcsin(along_aside.clip(-1, 1))


def _degrees(radians: np.ndarray) -> np.ndarray:
    """Within +-180."""
    return np.rad2deg(np.arctan2(np.sin(radians), np.cos(radians))).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(min=1e-9)
