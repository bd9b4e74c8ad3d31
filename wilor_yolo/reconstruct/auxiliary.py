"""A training aid: 21 keypoint maps read from the trunk's features, thrown away afterwards.

Not in the paper. Regressing rotations tells a network trained from scratch little about *where*
to look; a map per joint (Xiao et al. 2018) with a depth under it (the 2.5D idea of Iqbal et al.
2018) tells it directly, and the pose token then finds the answer in the tokens beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..skeleton import NUM_JOINTS
from .batches import HandTargets
from .frame import FeatureFrame
from .network import HandNetwork, NetworkOutput
from .trunk import TrunkOutput

__all__ = ["AidedNetwork", "KeypointMaps", "keypoint_map_losses"]

# Width of the target bump in cells of the map.
SIGMA = 1.0


class KeypointMaps(nn.Module):
    """Two deconvolutions and a 1 x 1 convolution: a heat map and a depth map for every joint."""

    def __init__(self, channels: int, hidden: int = 96) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ConvTranspose2d(channels, hidden, 4, stride=2, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(hidden, hidden, 4, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(hidden, 2 * NUM_JOINTS, 1),
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) to log-probabilities (B, 21, 4h, 4w) over cells, and depths (B, 21), m.

        Depths are relative to the wrist: the mean of the depth map under the heat map.
        """
        heat, depth = self.body(features).float().chunk(2, dim=1)
        log_heat = heat.flatten(2).log_softmax(dim=-1)
        depths = (log_heat.exp() * depth.flatten(2)).sum(dim=-1)
        return log_heat.view_as(heat), depths


class AidedNetwork(nn.Module):
    """A `HandNetwork` and `KeypointMaps` on its trunk's image features."""

    def __init__(self, network: HandNetwork, maps: KeypointMaps) -> None:
        super().__init__()
        self.network = network
        self.maps = maps
        self._features: Tensor | None = None
        network.trunk.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...], output: TrunkOutput) -> None:
        self._features = output.features if self.training else None

    def forward(self, crops: Tensor) -> tuple[NetworkOutput, Tensor, Tensor]:
        """The network's output, log heat maps and depths (see `KeypointMaps`)."""
        output = self.network(crops)
        features, self._features = self._features, None
        if features is None:
            raise RuntimeError("AidedNetwork runs in training mode only")
        return output, *self.maps(features)


def keypoint_map_losses(
    log_heat: Tensor, depths: Tensor, targets: HandTargets, frame: FeatureFrame
) -> tuple[Tensor, Tensor]:
    """Cross entropy of the heat maps with a bump at each keypoint, and L1 of the depths.

    Means over the batch and joints; weighted by the labels' confidence; keypoints outside the map
    do not count.

    Args:
        log_heat: (B, 21, h, w).
        depths: (B, 21) metres relative to the wrist.
        targets: labels.
        frame: of the trunk's features; deconvolutions keep it.
    """
    rows, columns = log_heat.shape[-2:]
    grid = frame.grid(targets.keypoints_2d[..., :2])
    inside = (grid.abs() < 1).all(dim=-1) * targets.keypoints_2d[..., 2]
    size = grid.new_tensor([columns, rows])
    cell = (grid + 1) / 2 * size - 0.5  # (B, 21, 2) in cells, centre of the first at 0
    across = torch.arange(columns, device=cell.device) - cell[..., 0, None]
    down = torch.arange(rows, device=cell.device) - cell[..., 1, None]
    bump = -(across.square()[..., None, :] + down.square()[..., None]) / (2 * SIGMA**2)
    target = bump.flatten(2).softmax(dim=-1)
    # Minus the target's own entropy: zero when the maps are perfect.
    misfit = functional.kl_div(log_heat.flatten(2), target, reduction="none").sum(dim=-1)
    depth = (depths - targets.joints_3d[..., 2]).abs() * targets.joints_3d_weight[:, None]
    return (misfit * inside).mean(), depth.mean()
