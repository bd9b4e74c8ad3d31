"""Multi-scale refinement: features read where the coarse mesh projects correct pose and shape.

WiLoR, section 4.2, "Multi-Scale Pose Refinement Module", Eqs. 6 and 7. The image tokens become a
pyramid of maps through deconvolutions; at every level the features under the 778 projected
vertices are read bilinearly and aggregated; the levels together give residuals.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..geometry import CROP_FOCAL
from ..skeleton import NUM_JOINTS
from .config import NetworkConfig
from .frame import FeatureFrame
from .stems import LandmarkEvidence
from .trunk import NUM_BETAS, NUM_CAM, NUM_POSE_6D

__all__ = ["Refinement", "aggregate", "sample_aligned", "sample_released", "seen_distances"]

FLAT_UNIT, DEEP_UNIT = 10.0, 30.0  # bring distances in crop units and metres to about one
FEEDBACK_WIDTH = 384


class Refinement(nn.Module):
    """Residuals of pose (6D), shape and camera from mesh-aligned features."""

    def __init__(self, config: NetworkConfig, frame: FeatureFrame) -> None:
        super().__init__()
        self.config = config
        self.frame = frame
        width = config.dim // 2
        self.first = nn.Conv2d(config.dim, width, 1)
        # Branch k doubles the resolution k times and halves the channels each time; branches
        # share nothing, as in the released network.
        self.branches = nn.ModuleList(
            nn.Sequential(*(_double(width >> i, width >> (i + 1)) for i in range(k)))
            for k in range(1, config.scales)
        )
        channels = sum(width >> k for k in range(config.scales))
        if config.tokens == "released":
            self.pose: nn.Module = nn.Linear(channels, NUM_POSE_6D)
            self.shape: nn.Module = nn.Linear(channels, NUM_BETAS)
            self.cam: nn.Module = nn.Linear(channels, NUM_CAM)
        else:
            self.pose = residual_mlp(channels, NUM_POSE_6D)
            self.shape = residual_mlp(channels, NUM_BETAS)
            self.cam = residual_mlp(channels, NUM_CAM)
        # Kept for the files that have it; what is not trained is no unused parameter to DDP.
        self.cam.requires_grad_(config.refine_cam)
        self.feedback = _feedback_mlp(channels) if config.feedback else None

    def pyramid(self, features: Tensor) -> list[Tensor]:
        """F0 to Fn, from low to high resolution: (B, C_k, h 2^k, w 2^k)."""
        base = self.first(features)
        return [base, *(branch(base) for branch in self.branches)]

    def forward(
        self,
        maps: list[Tensor],
        vertices: Tensor,
        projected: Tensor,
        cam: Tensor,
        distances: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One round of refinement.

        Args:
            maps: the pyramid.
            vertices: (B, 778, 3) metres, for the released sampling.
            projected: (B, 778, 2) the same vertices in crop units.
            cam: (B, 3) the camera they were projected with.
            distances: (B, 105) from the hand's joints to those seen, for `NetworkConfig.feedback`
                (:func:`seen_distances`).

        Returns:
            Residuals of pose (B, 96), betas (B, 10) and the camera head (B, 3).
        """
        read = []
        for features in reversed(maps):  # high resolution first, as the released weights expect
            if self.config.sampling == "aligned":
                sampled = sample_aligned(features, self.frame.grid(projected))
            else:
                sampled = sample_released(features, vertices, cam)
            read.append(aggregate(sampled, self.config.aggregation))
        with torch.autocast(cam.device.type, enabled=False):
            vector = torch.cat(read, dim=-1).float()
            pose, shape = self.pose(vector), self.shape(vector)
            cam_residual = self.cam(vector) if self.config.refine_cam else torch.zeros_like(cam)
            if self.feedback is not None:
                assert distances is not None
                told = self.feedback(torch.cat((vector, distances), dim=-1))
                more = told.split((NUM_POSE_6D, NUM_BETAS, NUM_CAM), dim=-1)
                pose, shape = pose + more[0], shape + more[1]
                if self.config.refine_cam:
                    cam_residual = cam_residual + more[2]
        return pose, shape, cam_residual


def seen_distances(evidence: LandmarkEvidence, joints: Tensor, projected: Tensor) -> Tensor:
    """(B, 105) from a hand's joints to those that a landmark stem sees, in the picture and in 3D.

    Args:
        evidence: of the stem.
        joints: (B, 21, 3) metres.
        projected: (B, 21, 2) the same in crop units.
    """
    flat = (evidence.points - projected) * FLAT_UNIT
    deep = (evidence.joints - (joints - joints[:, :1])) * DEEP_UNIT
    return torch.cat((flat.flatten(1), deep.flatten(1)), dim=1)


def sample_aligned(features: Tensor, grid: Tensor) -> Tensor:
    """Bilinear features (B, N, C) of a map (B, C, h, w) at grid points (B, N, 2).

    Points outside the map read its border, so that a hand cut off by the crop is not read as
    black.
    """
    # Half precision would move the points by a good part of a cell.
    dtype = torch.promote_types(features.dtype, torch.float32)
    sampled = functional.grid_sample(
        features.to(dtype), grid[:, :, None].to(dtype), padding_mode="border", align_corners=False
    )
    return sampled[..., 0].transpose(1, 2)


def sample_released(features: Tensor, vertices: Tensor, cam: Tensor) -> Tensor:
    """Features (B, N, C) as the released code reads them.

    It projects with a focal length and depth in units of each map's own height, takes the result,
    which is in crop units, for pixels of the map, and so reads a few cells in the top left
    corner. Kept to reproduce the released weights; train with ``"aligned"``.
    """
    rows, columns = features.shape[-2:]
    focal = CROP_FOCAL * 256.0 / rows
    scale, tx, ty = cam.unbind(-1)
    depth = 2 * CROP_FOCAL * 256.0 / (rows * scale + 1e-9)
    placed = vertices + torch.stack((tx, ty, depth), dim=-1)[:, None]
    pixels = focal * placed[..., :2] / placed[..., 2:]
    grid = pixels / pixels.new_tensor([columns - 1, rows - 1]) * 2 - 1
    sampled = functional.grid_sample(features, grid[:, :, None], align_corners=True)
    return sampled[..., 0].transpose(1, 2)


def aggregate(sampled: Tensor, how: str) -> Tensor:
    """One vector (B, C) from the features (B, N, C) of N vertices (Eq. 7)."""
    if how == "max":
        return sampled.max(dim=1).values
    return sampled.mean(dim=1) if how == "mean" else sampled.sum(dim=1)


def residual_mlp(inputs: int, outputs: int) -> nn.Sequential:
    """Two layers that start by saying "no change", so that training starts from the mean hand."""
    last = nn.Linear(inputs, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, inputs), nn.GELU(), last)


def _feedback_mlp(channels: int) -> nn.Sequential:
    last = nn.Linear(FEEDBACK_WIDTH, NUM_POSE_6D + NUM_BETAS + NUM_CAM)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(channels + 5 * NUM_JOINTS, FEEDBACK_WIDTH),
        nn.GELU(),
        nn.Linear(FEEDBACK_WIDTH, FEEDBACK_WIDTH),
        nn.GELU(),
        last,
    )


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
