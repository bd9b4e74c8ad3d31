"""The trunk: a crop becomes image tokens, read together with pose, shape and camera tokens.

WiLoR (Potamias et al. 2024, arXiv 2409.12259), section 4.2: "we explicitly model hand pose, shape,
and camera parameters with three distinct tokens". The plain ViT (Dosovitskiy et al. 2021) and the
hybrid one, whose tokens are a feature map of a CNN, differ in their stem only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional

from .config import NetworkConfig
from .keypoint_tokens import KeypointEvidence, KeypointTokens
from .stems import LandmarkEvidence, make_stem

__all__ = ["Trunk", "TrunkOutput"]

NUM_POSE_6D = 96  # 16 joints, six numbers each
NUM_BETAS = 10
NUM_CAM = 3

_LayerNorm: Any = partial(nn.LayerNorm, eps=1e-6)


@dataclass
class TrunkOutput:
    """What the trunk read.

    Attributes:
        features: (B, C, h, w) image tokens as a map, "F0" of the paper; with the stem's skip added.
        pose: (B, P, C) pose tokens, P = 1 (paper) or 16 (released).
        shape: (B, C).
        cam: (B, C).
        side_logit: (B,) that the crop shows a right hand, if the network tells sides.
        evidence: of the keypoint tokens or of the stem, if the network has them.
    """

    features: Tensor
    pose: Tensor
    shape: Tensor
    cam: Tensor
    side_logit: Tensor | None = None
    evidence: KeypointEvidence | LandmarkEvidence | None = None


class Trunk(nn.Module):
    """Stem, tokens, transformer blocks."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = make_stem(config)
        self.frame = self.stem.frame
        rows, columns = self.stem.map_size
        self.keypoints = (
            KeypointTokens(
                self.stem.fine_channels, config.dim, self.stem.fine_size, self.stem.fine_frame
            )
            if config.keypoints
            else None
        )
        self.pose_tokens = 16 if config.tokens == "released" else 1
        # Slot 0 is the class token's position of an ImageNet ViT; it is added to every patch, as
        # in ViTPose, so that initialisation files of that family load as they are.
        self.pos_embed = nn.Parameter(torch.zeros(1, rows * columns + 1, config.dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if config.tokens == "released":
            self.pose_emb = nn.Linear(6, config.dim)
            self.shape_emb = nn.Linear(NUM_BETAS, config.dim)
            self.cam_emb = nn.Linear(NUM_CAM, config.dim)
        else:
            self.token = nn.Parameter(torch.zeros(1, 3, config.dim))
            nn.init.trunc_normal_(self.token, std=0.02)
        self.blocks = nn.ModuleList(
            Block(
                config.dim,
                config.heads,
                config.mlp_ratio,
                qkv_bias=True,
                drop_path=config.drop_path * i / max(config.depth - 1, 1),
                norm_layer=_LayerNorm,
            )
            for i in range(config.depth)
        )
        self.last_norm = _LayerNorm(config.dim)
        # Starts by saying what the stem says, or that it does not know.
        self.side = nn.Linear((self.pose_tokens + 2) * config.dim, 1) if config.side else None
        if self.side is not None:
            nn.init.zeros_(self.side.weight)
            nn.init.zeros_(self.side.bias)

    def forward(
        self, crops: Tensor, mean_pose_6d: Tensor, mean_betas: Tensor, mean_cam: Tensor
    ) -> TrunkOutput:
        """Read B crops.

        Args:
            crops: (B, 3, S, S) normalised RGB.
            mean_pose_6d, mean_betas, mean_cam: (96,), (10,), (3,): what the released tokens are
                made of; the paper's learnable tokens ignore them.
        """
        batch = crops.shape[0]
        seen = self.stem.read(crops)
        rows, columns = seen.features.shape[-2:]
        patches = seen.features.flatten(2).transpose(1, 2)
        patches = patches + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        if self.config.tokens == "released":
            head = torch.cat(
                (
                    self.pose_emb(mean_pose_6d.view(1, 16, 6)),
                    self.shape_emb(mean_betas.view(1, 1, NUM_BETAS)),
                    self.cam_emb(mean_cam.view(1, 1, NUM_CAM)),
                ),
                dim=1,
            )
        else:
            head = self.token
        head = head.expand(batch, -1, -1)
        evidence: KeypointEvidence | LandmarkEvidence | None = seen.evidence
        if seen.guess is not None:
            head = head + seen.guess
        if self.keypoints is not None:
            named, guess, evidence = self.keypoints(seen.fine)
            head = torch.cat((head + guess, named), dim=1)
        count = head.shape[1]
        if len(self.blocks):
            tokens = torch.cat((head, patches), dim=1)
            for block in self.blocks:
                tokens = block(tokens)
        else:
            tokens = torch.cat((head + patches.mean(1, keepdim=True), patches), dim=1)
        tokens = self.last_norm(tokens)
        side_logit = None
        if self.side is not None:
            with torch.autocast(crops.device.type, enabled=False):
                read = tokens[:, : self.pose_tokens + 2].flatten(1).float()
                side_logit = self.side(read).squeeze(1)
                if seen.side_logit is not None:
                    side_logit = side_logit + seen.side_logit
        image = tokens[:, count:].transpose(1, 2).reshape(batch, -1, rows, columns)
        if seen.skip is not None:
            # Strides pad below and to the right: coarse cell i covers the finer 2 i and 2 i + 1.
            image = seen.skip + functional.interpolate(image, scale_factor=2.0, mode="nearest")
        return TrunkOutput(
            features=image,
            pose=tokens[:, : self.pose_tokens],
            shape=tokens[:, self.pose_tokens],
            cam=tokens[:, self.pose_tokens + 1],
            side_logit=side_logit,
            evidence=evidence,
        )
