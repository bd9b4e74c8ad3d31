"""Hands as other programs want them: MANO layers, SMPL-X bodies, MediaPipe's landmarks.

`Hands.to_mano`, `.to_smplx` and `.to_mediapipe` are the ways in; docs/conventions.md tells the
frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import HandError
from .geometry import HALF_PIXEL

__all__ = [
    "ManoParameters",
    "MediapipeLandmarks",
    "SmplxHand",
    "mediapipe_landmarks",
    "smplx_hands",
]


@dataclass(frozen=True)
class ManoParameters:
    """Parameters for a MANO layer of one side (``flat_hand_mean=True``, no PCA).

    Attributes:
        side: ``"left"`` or ``"right"``.
        global_orient: (3,) axis-angle, radians.
        hand_pose: (45,) axis-angle of the 15 finger joints in MANO order, radians.
        betas: (10,).
        transl: (3,) metres, camera frame.
        scale: what the posed model has to be multiplied by, before the translation.
    """

    side: str
    global_orient: np.ndarray
    hand_pose: np.ndarray
    betas: np.ndarray
    transl: np.ndarray
    scale: float = 1.0


@dataclass(frozen=True)
class SmplxHand:
    """One hand of an SMPL-X (or SMPL-H) body (``use_pca=False, flat_hand_mean=True``).

    Attributes:
        side: ``"left"`` or ``"right"``.
        hand_pose: (45,) axis-angle, radians: the body's `left_hand_pose` or `right_hand_pose`.
        wrist: (3,) axis-angle, radians: the body's `left_wrist` or `right_wrist` relative to the
            forearm; relative to the camera if the forearm was not given.
    """

    side: str
    hand_pose: np.ndarray
    wrist: np.ndarray


@dataclass(frozen=True)
class MediapipeLandmarks:
    """21 landmarks of N hands, in MediaPipe's order and frames.

    Attributes:
        landmarks: (N, 21, 3) x and y in units of the picture's width and height; z as x, with the
            wrist at 0 and nearer things negative.
        world_landmarks: (N, 21, 3) metres, x right, y down, z away from the camera, around the
            mean of the 21.
        wrist_landmarks: (N, 21, 3) metres, wrist at 0, turned with the palm: a flat hand has its
            back towards +y and its thumb towards +z; its fingers point to -x (right hand) or +x
            (left). MediaPipe has no such thing; robot hands are driven by it.
        side: ``"left"`` or ``"right"``, the person's own. (MediaPipe names sides as in a mirror.)
    """

    landmarks: np.ndarray
    world_landmarks: np.ndarray
    wrist_landmarks: np.ndarray
    side: list[str]


def smplx_hands(
    parameters: Sequence[ManoParameters], forearm: np.ndarray | None = None
) -> list[SmplxHand]:
    """See `Hands.to_smplx`.

    Args:
        parameters: N hands, each of its own side.
        forearm: (N, 3, 3) or (3, 3) rotations.
    """
    if forearm is None:
        return [SmplxHand(p.side, p.hand_pose, p.global_orient) for p in parameters]
    count, given = len(parameters), np.asarray(forearm, np.float32)
    if given.shape not in ((3, 3), (count, 3, 3)):
        raise HandError(f"forearm must be (3, 3) or ({count}, 3, 3) rotations, got {given.shape}.")
    if not count:
        return []
    import roma
    import torch

    orient = roma.rotvec_to_rotmat(torch.tensor(np.stack([p.global_orient for p in parameters])))
    relative = torch.from_numpy(given).transpose(-1, -2) @ orient
    wrists = roma.rotmat_to_rotvec(relative).numpy()
    return [SmplxHand(p.side, p.hand_pose, w) for p, w in zip(parameters, wrists, strict=True)]


def mediapipe_landmarks(
    joints: np.ndarray,
    cam_t: np.ndarray,
    keypoints_2d: np.ndarray,
    global_orient: np.ndarray,
    *,
    focal: float,
    image_size: tuple[int, int],
    side: list[str],
) -> MediapipeLandmarks:
    """See `Hands.to_mediapipe`.

    Args:
        joints, cam_t, keypoints_2d: as in `Hands`.
        global_orient: (N, 3, 3), here of each hand's own side.
        focal: px, along x.
        image_size: (width, height) px.
        side: of each hand.
    """
    width, height = image_size
    from_wrist = joints - joints[:, :1]
    wrist_depth = joints[:, :1, 2] + cam_t[:, 2:]
    z = from_wrist[..., 2] * focal / wrist_depth
    return MediapipeLandmarks(
        landmarks=np.dstack(
            (
                (keypoints_2d[..., 0] + HALF_PIXEL) / width,
                (keypoints_2d[..., 1] + HALF_PIXEL) / height,
                z / width,
            )
        ),
        world_landmarks=joints - joints.mean(axis=1, keepdims=True),
        wrist_landmarks=from_wrist @ global_orient,
        side=side,
    )
