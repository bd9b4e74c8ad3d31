"""Hand parameters of other data sets in our form: axis-angle, flat hand, camera frame, right view.

Sets that store a pose relative to MANO's mean hand, or in its principal components, need the
licensed model of that side to be understood; without it such hands keep their joints only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..errors import HandError
from ..geometry import mirror_axis_angle, mirror_points
from ..mano.files import HandModel, load_hand_model, repair_left_shapedirs
from ..mano.layer import HandLayer
from ..metrics.procrustes import fit_similarity

__all__ = ["ManoModels", "mirror_pose", "turn_pose"]

# Joints of right parameters lie this close to the labelled ones (mean of 21, metres); other sets'
# joints are not MANO's to the millimetre.
_AGREE = 0.015


@dataclass(frozen=True)
class ManoModels:
    """The user's MANO models; either may be missing."""

    right: HandModel | None = None
    left: HandModel | None = None
    _layers: list[HandLayer] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def load(cls, right: str | Path | None, left: str | Path | None) -> ManoModels:
        """Read the models of both sides, from MANO `.pkl` or `.npz` files.

        The sign fault of the published left model is mended when both are given.

        Raises:
            WeightsError: a file is missing or no hand model.
        """
        right_model = None if right is None else load_hand_model(right)
        left_model = None if left is None else load_hand_model(left, "left")
        if right_model is not None and left_model is not None:
            left_model = repair_left_shapedirs(left_model, right_model)
        return cls(right_model, left_model)

    def flat_pose(self, pose: np.ndarray, is_right: bool, components: bool) -> np.ndarray | None:
        """A pose (48,) relative to MANO's mean hand as an absolute one.

        Args:
            pose: 3 of the wrist, 45 of the fingers.
            is_right: whose mean and components to use.
            components: the 45 are coefficients of principal components, not angles.

        Returns:
            (48,), still of the hand's own side; None without a model of that side.
        """
        model = self.right if is_right else self.left
        if model is None:
            return None
        fingers = pose[3:48] @ model.hands_components if components else pose[3:48]
        return np.concatenate((pose[:3], fingers + model.hands_mean))

    def checked(
        self,
        pose: np.ndarray,
        betas: np.ndarray,
        joints: np.ndarray,
        is_right: bool,
        realign: bool = False,
    ) -> np.ndarray | None:
        """The pose if it explains the joints, else None; unchanged without a right-hand model.

        Args:
            pose: (48,) flat, right-hand view.
            betas: (10,).
            joints: (21, 3) metres, camera frame, of the hand's own side.
            is_right: side of `joints`.
            realign: turn the wrist so that the model's joints fit best first.
        """
        if self.right is None:
            return pose
        if not self._layers:
            self._layers.append(HandLayer(self.right))
        target = joints if is_right else mirror_points(joints)
        model = _model_joints(self._layers[0], pose, betas)
        if realign:
            rotation = fit_similarity(model[None], target[None]).rotation[0]
            pose = turn_pose(pose, rotation)
            model = _model_joints(self._layers[0], pose, betas)
        off = (model - model.mean(0)) - (target - target.mean(0))
        return pose if np.linalg.norm(off, axis=1).mean() <= _AGREE else None


def mirror_pose(pose: np.ndarray) -> np.ndarray:
    """The pose (48,) of a left hand as that of the right hand in the mirrored picture."""
    return mirror_axis_angle(pose.reshape(16, 3)).reshape(48)


def turn_pose(pose: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """The pose (48,) seen from a frame turned by `rotation` (3, 3): only the wrist changes."""
    if not np.isfinite(pose).all():
        raise HandError("hand_pose holds NaN or infinity")
    wrist = rotation @ cv2.Rodrigues(np.asarray(pose[:3], np.float64))[0]
    return np.concatenate((cv2.Rodrigues(wrist)[0].reshape(3), pose[3:]))


def _model_joints(layer: HandLayer, pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    import roma
    import torch

    with torch.inference_mode():
        vectors = torch.as_tensor(pose, dtype=torch.float32).reshape(1, 16, 3)
        rotations = roma.rotvec_to_rotmat(vectors)
        shape = torch.as_tensor(betas, dtype=torch.float32).reshape(1, 10)
        return layer(rotations[:, :1], rotations[:, 1:], shape).joints[0].double().numpy()
