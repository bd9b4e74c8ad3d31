"""`HandLayer`: pose and shape a MANO-format hand.

Romero et al. 2017. The blend skinning is smplx's `lbs`, used in this one file.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import HandError
from ..skeleton import MANO_PARENTS, MANO_TO_OPENPOSE, TIP_VERTICES
from .files import HandModel, load_hand_model

__all__ = ["HandLayer", "HandMesh"]


@dataclass
class HandMesh:
    """Posed hands in their own frame.

    Attributes:
        vertices: (B, 778, 3) metres.
        joints: (B, 21, 3) metres, OpenPose order; tips are vertices of the mesh.
    """

    vertices: Tensor
    joints: Tensor


class HandLayer(nn.Module):
    """Parameters in, mesh and joints out. Rotations are absolute (flat hand mean, no PCA).

    The model's arrays are non-persistent buffers: they follow ``.to(device)`` and stay out of
    checkpoints, because which hand a user may ship is a question of licence.
    """

    v_template: Tensor
    shapedirs: Tensor
    posedirs: Tensor
    J_regressor: Tensor
    lbs_weights: Tensor
    parents: Tensor
    faces: Tensor
    _tips: Tensor
    _order: Tensor

    def __init__(self, model: HandModel) -> None:
        super().__init__()
        buffers = {
            "v_template": torch.as_tensor(model.v_template),
            "shapedirs": torch.as_tensor(model.shapedirs),
            "posedirs": torch.as_tensor(model.posedirs).reshape(-1, 135).T.contiguous(),
            "J_regressor": torch.as_tensor(model.J_regressor),
            "lbs_weights": torch.as_tensor(model.weights),
            "parents": torch.tensor(MANO_PARENTS),
            "faces": torch.as_tensor(model.faces),
            "_tips": torch.tensor(TIP_VERTICES),
            "_order": torch.tensor(MANO_TO_OPENPOSE),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    @classmethod
    def free(cls) -> HandLayer:
        """The free right hand that ships with the package."""
        return cls(load_hand_model())

    def forward(self, global_orient: Tensor, hand_pose: Tensor, betas: Tensor) -> HandMesh:
        """Pose B hands.

        Args:
            global_orient: (B, 3, 3) or (B, 1, 3, 3) rotation matrices.
            hand_pose: (B, 15, 3, 3) rotation matrices in MANO joint order.
            betas: (B, 10).

        Returns:
            Vertices and joints in metres, around the model's origin (not translated).

        Raises:
            HandError: arrays of other shapes, such as axis-angle.
        """
        from smplx.lbs import lbs

        if global_orient.shape[-2:] != (3, 3) or hand_pose.shape[1:] != (15, 3, 3):
            raise HandError(
                "a hand is posed by rotation matrices, (B, 3, 3) and (B, 15, 3, 3), not "
                f"{tuple(global_orient.shape)} and {tuple(hand_pose.shape)}; "
                "roma.rotvec_to_rotmat makes them of axis-angle."
            )
        pose = torch.cat((global_orient.reshape(-1, 1, 3, 3), hand_pose), dim=1)
        vertices, joints = lbs(
            betas,
            pose,
            self.v_template,
            self.shapedirs,
            self.posedirs,
            self.J_regressor,
            self.parents,
            self.lbs_weights,
            pose2rot=False,
        )
        with_tips = torch.cat((joints, vertices[:, self._tips]), dim=1)
        return HandMesh(vertices, with_tips[:, self._order])
