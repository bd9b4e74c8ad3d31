"""Keypoint tokens: 21 joints found on the stem's finest map, read by the transformer beside it.

Not in the paper, and off in its networks. A transformer trained from scratch on little data is
slow to learn *where* things are; a heat map for every joint (Xiao et al. 2018) on a pretrained
stem learns it at once. The expectation of each map (soft-argmax, Sun et al. 2018) with a depth
under it (2.5D, Iqbal et al. 2018) and the features found there become one token a joint, and
together a first guess for the pose, shape and camera tokens. The paper's heads and refinement then
work as they always do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..skeleton import NUM_JOINTS
from .frame import FeatureFrame

__all__ = ["KeypointEvidence", "KeypointTokens"]

DEPTH_UNIT = 0.1  # metres; brings depths to the range of the other inputs


@dataclass
class KeypointEvidence:
    """What the maps say, for the loss.

    Attributes:
        log_heat: (B, 21, h, w) log-probabilities over the cells of the finest map.
        depths: (B, 21) metres, relative to the wrist.
        points: (B, 21, 2) crop units, the expectation of each heat map.
    """

    log_heat: Tensor
    depths: Tensor
    points: Tensor


class KeypointTokens(nn.Module):
    """Heat maps, their tokens, and a first guess from all of them."""

    cells: Tensor

    def __init__(
        self, channels: int, dim: int, map_size: tuple[int, int], frame: FeatureFrame
    ) -> None:
        super().__init__()
        hidden = max(channels, 32)
        self.body = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.SiLU(),
        )
        self.maps = nn.Conv2d(hidden, 2 * NUM_JOINTS, 1)
        self.feature = nn.Linear(hidden, dim)
        self.place = nn.Sequential(nn.Linear(4, dim), nn.GELU(), nn.Linear(dim, dim))
        self.name = nn.Parameter(torch.zeros(1, NUM_JOINTS, dim))
        nn.init.trunc_normal_(self.name, std=0.02)
        self.guess = nn.Sequential(
            nn.Linear(4 * NUM_JOINTS, 2 * dim), nn.GELU(), nn.Linear(2 * dim, 3 * dim)
        )
        self.register_buffer("cells", _cell_centres(map_size, frame), persistent=False)

    def forward(self, fine: Tensor) -> tuple[Tensor, Tensor, KeypointEvidence]:
        """Read the finest map (B, C, h, w).

        Returns:
            Tokens (B, 21, dim), the first guess (B, 3, dim) for pose, shape and camera, and the
            evidence.
        """
        hidden = self.body(fine)
        with torch.autocast(fine.device.type, enabled=False):
            heat, depth = self.maps(hidden.float()).flatten(2).chunk(2, dim=1)
            log_heat = heat.log_softmax(dim=-1)
            share = log_heat.exp()
            points = share @ self.cells
            depths = (share * depth).sum(dim=-1) * DEPTH_UNIT
            spread = -(share * log_heat).sum(dim=-1) / math.log(share.shape[-1])
            read = share @ hidden.float().flatten(2).transpose(1, 2)
            where = torch.cat(
                (points * 2, depths[..., None] / DEPTH_UNIT, spread[..., None]), dim=-1
            )
            tokens = self.feature(read) + self.place(where) + self.name
            guess = self.guess(where.flatten(1)).unflatten(1, (3, -1))
        rows, columns = fine.shape[-2:]
        evidence = KeypointEvidence(log_heat.unflatten(-1, (rows, columns)), depths, points)
        return tokens, guess, evidence


def _cell_centres(map_size: tuple[int, int], frame: FeatureFrame) -> Tensor:
    """(h * w, 2) centres of the map's cells in crop units, row by row."""
    rows, columns = map_size
    x = (2 * torch.arange(columns) + 1) / columns - 1
    y = (2 * torch.arange(rows) + 1) / rows - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).view(-1, 2)
    return (grid - grid.new_tensor(frame.shift)) / grid.new_tensor(frame.scale)
