"""`HandNetwork`: right-hand crops in, MANO hands in crop-camera space out.

WiLoR (Potamias et al. 2024, arXiv 2409.12259), section 4.2 and Fig. 4: the trunk gives a coarse
hand, the refinement corrects it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from ..geometry import (
    cam_to_crop_translation,
    matrix_to_rotation_6d,
    project_crop,
    rotation_6d_to_matrix,
)
from ..mano.files import HandModel
from ..mano.layer import HandLayer
from .config import NetworkConfig
from .keypoint_tokens import KeypointEvidence
from .refine import Refinement, residual_mlp, seen_distances
from .seen_fit import SeenFit
from .stems import LandmarkEvidence
from .trunk import NUM_BETAS, NUM_CAM, NUM_POSE_6D, Trunk, TrunkOutput

__all__ = ["CoarseHand", "HandNetwork", "NetworkOutput"]

PALM = (0, 5, 9, 13, 17)  # wrist and the four knuckles


@dataclass
class CoarseHand:
    """The trunk's own estimate, before refinement.

    Attributes:
        cam: (B, 3) crop camera (s, tx, ty).
        pose6d: (B, 96) rotations of 16 joints, 6D, before orthogonalisation.
        betas: (B, 10).
    """

    cam: Tensor
    pose6d: Tensor
    betas: Tensor


@dataclass
class NetworkOutput:
    """Right hands in the camera of their crops.

    Attributes:
        cam: (B, 3) crop camera (s, tx, ty).
        cam_t_crop: (B, 3) metres, the same as a translation.
        global_orient: (B, 3, 3).
        hand_pose: (B, 15, 3, 3).
        betas: (B, 10).
        vertices: (B, 778, 3) metres, hand frame.
        joints: (B, 21, 3) metres, hand frame, OpenPose order.
        keypoints_2d_crop: (B, 21, 2) crop units (-0.5 to 0.5).
        pose6d: (B, 96) the refined 6D numbers.
        coarse: the estimate before refinement.
        side_logit: (B,) that the crop shows a right hand; None if the network does not tell.
        evidence: what keypoint tokens or a landmark stem say of the joints, in training only.
    """

    cam: Tensor
    cam_t_crop: Tensor
    global_orient: Tensor
    hand_pose: Tensor
    betas: Tensor
    vertices: Tensor
    joints: Tensor
    keypoints_2d_crop: Tensor
    pose6d: Tensor
    coarse: CoarseHand
    side_logit: Tensor | None = None
    evidence: KeypointEvidence | LandmarkEvidence | None = None

    @property
    def tensors(self) -> dict[str, Any]:
        """The fields with one row a hand that this network gives, by name."""
        values = {name: getattr(self, name) for name in _TENSORS}
        return {name: value for name, value in values.items() if value is not None}

    def take(self, index: Tensor | slice) -> NetworkOutput:
        """The hands of these row numbers (M,), in that order, or of a slice."""
        coarse = CoarseHand(
            self.coarse.cam[index], self.coarse.pose6d[index], self.coarse.betas[index]
        )
        return NetworkOutput(
            **{n: value[index] for n, value in self.tensors.items()}, coarse=coarse
        )

    @classmethod
    def concatenate(cls, parts: Sequence[NetworkOutput]) -> NetworkOutput:
        """The hands of several batches, in order."""
        tensors = [part.tensors for part in parts]
        joined: dict[str, Any] = {n: torch.cat([t[n] for t in tensors]) for n in tensors[0]}
        return cls(
            **joined,
            coarse=CoarseHand(
                torch.cat([part.coarse.cam for part in parts]),
                torch.cat([part.coarse.pose6d for part in parts]),
                torch.cat([part.coarse.betas for part in parts]),
            ),
        )


_TENSORS = tuple(f.name for f in fields(NetworkOutput) if f.name not in ("coarse", "evidence"))


@dataclass
class _Posed:
    rotations: Tensor  # (B, 16, 3, 3)
    vertices: Tensor
    joints: Tensor
    cam: Tensor


class HandNetwork(nn.Module):
    """Trunk, coarse heads, refinement and the hand layer."""

    mean_pose6d: Tensor
    mean_betas: Tensor
    mean_cam: Tensor

    def __init__(self, config: NetworkConfig, hand_model: HandModel) -> None:
        super().__init__()
        self.config = config
        self.hand = HandLayer(hand_model)
        self.trunk = Trunk(config)
        self.refinement = Refinement(config, self.trunk.frame) if config.scales else None
        self.seen_fit = SeenFit() if config.seen_rounds else None
        if config.tokens == "released":
            self.pose_head: nn.Module = nn.Linear(config.dim, 6)
            self.shape_head: nn.Module = nn.Linear(config.dim, NUM_BETAS)
            self.cam_head: nn.Module = nn.Linear(config.dim, NUM_CAM)
        else:
            self.pose_head = residual_mlp(config.dim, NUM_POSE_6D)
            self.shape_head = residual_mlp(config.dim, NUM_BETAS)
            self.cam_head = residual_mlp(config.dim, NUM_CAM)
        self.register_buffer("mean_pose6d", _mean_pose6d(hand_model))
        self.register_buffer("mean_betas", torch.zeros(NUM_BETAS))
        self.register_buffer("mean_cam", torch.tensor(config.mean_cam, dtype=torch.float32))

    def forward(self, crops: Tensor) -> NetworkOutput:
        """Reconstruct B hands.

        Args:
            crops: (B, 3, S, S) float32, normalised RGB (see :mod:`wilor_yolo.crops`), left hands
                mirrored.
        """
        read = self.trunk(crops, self.mean_pose6d, self.mean_betas, self.mean_cam)
        pose6d, betas, head_cam = self._coarse(read)
        posed = self._pose(pose6d, betas, head_cam)
        coarse = CoarseHand(posed.cam, pose6d, betas)
        if self.refinement is not None:
            maps = self.refinement.pyramid(read.features)
            for _ in range(self.config.iterations):
                projected = project_crop(posed.vertices, posed.cam)
                distances = None
                if self.config.feedback and isinstance(read.evidence, LandmarkEvidence):
                    places = project_crop(posed.joints, posed.cam)
                    distances = seen_distances(read.evidence, posed.joints, places)
                d_pose, d_betas, d_cam = self.refinement(
                    maps, posed.vertices, projected, posed.cam, distances
                )
                pose6d, betas, head_cam = pose6d + d_pose, betas + d_betas, head_cam + d_cam
                posed = self._pose(pose6d, betas, head_cam)
        if self.seen_fit is not None:
            assert isinstance(read.evidence, LandmarkEvidence)
            for _ in range(self.config.seen_rounds):
                d_pose, d_betas, d_cam = self._fitted(
                    self.seen_fit, read.evidence, posed, pose6d, betas
                )
                pose6d, betas, head_cam = pose6d + d_pose, betas + d_betas, head_cam + d_cam
                posed = self._pose(pose6d, betas, head_cam)
        return NetworkOutput(
            cam=posed.cam,
            cam_t_crop=cam_to_crop_translation(posed.cam),
            global_orient=posed.rotations[:, 0],
            hand_pose=posed.rotations[:, 1:],
            betas=betas,
            vertices=posed.vertices,
            joints=posed.joints,
            keypoints_2d_crop=project_crop(posed.joints, posed.cam),
            pose6d=pose6d,
            coarse=coarse,
            side_logit=read.side_logit,
            evidence=read.evidence if self.training else None,
        )

    def _coarse(self, read: TrunkOutput) -> tuple[Tensor, Tensor, Tensor]:
        # Heads and everything after them run in float32: rotations and projections in half
        # precision lose millimetres.
        with torch.autocast(read.pose.device.type, enabled=False):
            pose = self.pose_head(read.pose.float()).flatten(1) + self.mean_pose6d
            betas = self.shape_head(read.shape.float()) + self.mean_betas
            cam = self.cam_head(read.cam.float()) + self.mean_cam
        return pose, betas, cam

    def _fitted(
        self, fit: SeenFit, evidence: LandmarkEvidence, posed: _Posed, pose6d: Tensor, betas: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(pose6d.device.type, enabled=False):
            places = project_crop(posed.joints, posed.cam)
            orient = posed.rotations[:, 0]
            return fit(
                evidence, orient, pose6d.float(), betas.float(), posed.cam, posed.joints, places
            )

    def _pose(self, pose6d: Tensor, betas: Tensor, head_cam: Tensor) -> _Posed:
        with torch.autocast(pose6d.device.type, enabled=False):
            rotations = rotation_6d_to_matrix(pose6d.float().view(-1, 16, 6))
            mesh = self.hand(rotations[:, :1], rotations[:, 1:], betas.float())
            cam = head_cam.float()
            if self.config.cam_origin == "palm":
                palm = mesh.joints[:, PALM, :2].mean(dim=1)
                cam = torch.cat((cam[:, :1], cam[:, 1:] - palm), dim=1)
        return _Posed(rotations, mesh.vertices, mesh.joints, cam)


def _mean_pose6d(hand_model: HandModel) -> Tensor:
    import roma

    axis_angle = torch.zeros(16, 3)
    axis_angle[1:] = torch.as_tensor(hand_model.hands_mean).view(15, 3)
    return matrix_to_rotation_6d(roma.rotvec_to_rotmat(axis_angle)).reshape(NUM_POSE_6D)
