"""Bends the refined hand towards the landmarks that the stem sees.

Not in the paper. A landmark stem knows where the joints are better than the mesh follows: moving 21
points is easy, finding the rotations that move them is what takes a network long to learn. This
small network does nothing else. It works in the hand's own frame, where bending a finger looks the
same however the hand is turned, so it learns from posed hands alone, without pictures
(`benchmarks/seen_fit.py`), and then with the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..skeleton import NUM_JOINTS
from .stems import LandmarkEvidence
from .trunk import NUM_BETAS, NUM_CAM, NUM_POSE_6D

__all__ = ["SeenFit"]

NEAR, FAR = 30.0, 10.0  # bring metres to about one: distances to what is seen, places in the hand
WIDTH = 512
_FINGERS_6D = NUM_POSE_6D - 6
_INPUTS = 4 * 3 * NUM_JOINTS + 3 + _FINGERS_6D + NUM_BETAS + 1
_ORIENT = 6  # the change of two columns of the orientation, in the hand's frame


class SeenFit(nn.Module):
    """Residuals of pose (6D), shape and camera from the joints seen. Starts by changing nothing."""

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(WIDTH, _ORIENT + _FINGERS_6D + NUM_BETAS + NUM_CAM)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.Linear(_INPUTS, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), last
        )

    def forward(
        self,
        evidence: LandmarkEvidence,
        orient: Tensor,
        pose6d: Tensor,
        betas: Tensor,
        cam: Tensor,
        joints: Tensor,
        places: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One round.

        Args:
            evidence: of the stem: points in crop units, joints in metres from the wrist.
            orient: (B, 3, 3) global orientation of the hand.
            pose6d: (B, 96) its pose, the orientation's numbers first.
            betas: (B, 10).
            cam: (B, 3) crop camera.
            joints: (B, 21, 3) its joints, metres.
            places: (B, 21, 2) the same in crop units.

        Returns:
            Residuals of pose (B, 96), betas (B, 10) and the camera head (B, 3).
        """
        # A row vector times R is R transposed times the column: into the hand's frame.
        own = (joints - joints[:, :1]) @ orient
        seen = evidence.joints @ orient
        # In the picture: crop units to metres at the hand's depth (x = s X / 2), depth unknown.
        scale = cam[:, :1, None]
        off = torch.cat((evidence.points - places, torch.zeros_like(places[..., :1])), dim=-1)
        flat = (2.0 * off / scale) @ orient
        told = torch.cat(
            (
                (own * FAR).flatten(1),
                (seen * FAR).flatten(1),
                ((seen - own) * NEAR).flatten(1),
                (flat * NEAR).flatten(1),
                orient[:, 2],  # the line of sight
                pose6d[:, 6:],
                betas,
                cam[:, :1] / 7.0,
            ),
            dim=1,
        )
        turn, fingers, shape, camera = self.layers(told).split(
            (_ORIENT, _FINGERS_6D, NUM_BETAS, NUM_CAM), dim=1
        )
        columns = orient @ turn.view(-1, 2, 3).transpose(1, 2)
        pose = torch.cat((columns.transpose(1, 2).flatten(1), fingers), dim=1)
        camera = torch.cat((camera[:, :1] * cam[:, :1], camera[:, 1:] / FAR), dim=1)
        return pose, shape, camera
