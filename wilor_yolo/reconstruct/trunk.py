"""The trunk: a crop becomes image tokens, read together with pose, shape and camera tokens.

WiLoR (Potamias et al. 2024, arXiv 2409.12259), section 4.2: "we explicitly model hand pose, shape,
and camera parameters with three distinct tokens". The plain ViT (Dosovitskiy et al. 2021) and the
hybrid one, whose tokens are a feature map of a CNN, differ in their stem only.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import partial
from typing import Any

import timm
import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from ..crops import IMAGE_MEAN, IMAGE_STD
from ..errors import HandError
from .config import NetworkConfig
from .frame import FeatureFrame
from .keypoint_tokens import KeypointEvidence, KeypointTokens
from .yolo_body import YOLO_WIDTHS, YoloBody

__all__ = ["Trunk", "TrunkOutput"]

NUM_POSE_6D = 96  # 16 joints, six numbers each
NUM_BETAS = 10
NUM_CAM = 3

# Where the cells of a CNN's maps lie. A stride-2 convolution of odd kernel and symmetric padding
# centres its output pixel i on input pixel 2 i; a convolution of patches covers whole patches. The
# tests measure these families; others mix both kinds (ResNet-D, DenseNet, TensorFlow padding).
_CENTRED_FAMILIES = re.compile(
    r"(mobilenetv[1-4]|resnet(18|34|50|101|152)(\.|$)|resnext(50|101)_|fastvit|efficientnet_|regnet"
    r"|repvgg|mobileone|ghostnet|repghostnet|lcnet|darknet)"
)
_PATCHIFY_FAMILIES = re.compile(r"(convnext|edgenext)")

_LayerNorm: Any = partial(nn.LayerNorm, eps=1e-6)


@dataclass
class TrunkOutput:
    """What the trunk read.

    Attributes:
        features: (B, C, h, w) image tokens as a map, "F0" of the paper.
        pose: (B, P, C) pose tokens, P = 1 (paper) or 16 (released).
        shape: (B, C).
        cam: (B, C).
        evidence: of the keypoint tokens, if the network has them.
    """

    features: Tensor
    pose: Tensor
    shape: Tensor
    cam: Tensor
    evidence: KeypointEvidence | None = None


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
        features, fine = self.stem.both_maps(crops)
        rows, columns = features.shape[-2:]
        patches = features.flatten(2).transpose(1, 2)
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
        evidence = None
        if self.keypoints is not None:
            named, guess, evidence = self.keypoints(fine)
            head = torch.cat((head + guess, named), dim=1)
        count = head.shape[1]
        if len(self.blocks):
            tokens = torch.cat((head, patches), dim=1)
            for block in self.blocks:
                tokens = block(tokens)
        else:
            tokens = torch.cat((head + patches.mean(1, keepdim=True), patches), dim=1)
        tokens = self.last_norm(tokens)
        image = tokens[:, count:].transpose(1, 2).reshape(batch, -1, rows, columns)
        return TrunkOutput(
            features=image,
            pose=tokens[:, : self.pose_tokens],
            shape=tokens[:, self.pose_tokens],
            cam=tokens[:, self.pose_tokens + 1],
            evidence=evidence,
        )


def make_stem(config: NetworkConfig) -> Stem:
    """The stem that `config.stem` names.

    Raises:
        HandError: no such stem, or one that does not fit the image size.
    """
    if config.stem == "patch":
        return PatchStem(config)
    return YoloStem(config) if config.stem in YOLO_WIDTHS else CnnStem(config)


class Stem(nn.Module):
    """Crops to a map of image tokens; some stems also have a finer map.

    Attributes:
        map_size: rows, columns of the token map.
        frame: where it lies in the crop.
        fine_size, fine_frame, fine_channels: the same of the finer map; stems without one give
            the token map for it.
    """

    map_size: tuple[int, int]
    frame: FeatureFrame
    fine_size: tuple[int, int]
    fine_frame: FeatureFrame
    fine_channels: int

    def _only_map(self, size: tuple[int, int], frame: FeatureFrame, channels: int) -> None:
        self.map_size = self.fine_size = size
        self.frame = self.fine_frame = frame
        self.fine_channels = channels

    def both_maps(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) to the token map (B, dim, rows, columns) and the finer map."""
        features = self(crops)
        return features, features


class PatchStem(Stem):
    """Patches of the visible columns, one convolution (ViT)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        patch, padding, side = config.patch_size, config.patch_padding, config.image_size
        width = config.visible_width
        self.margin = (side - width) // 2
        size = (
            (side + 2 * padding - patch) // patch + 1,
            (width + 2 * padding - patch) // patch + 1,
        )
        self.proj = nn.Conv2d(3, config.dim, patch, stride=patch, padding=padding)
        # Patch i covers pixels patch * i - padding to patch * (i + 1) - padding.
        frame = FeatureFrame.of_cells(side, patch, size, (self.margin - padding, -padding))
        self._only_map(size, frame, config.dim)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, dim, rows, columns)."""
        width = crops.shape[-1]
        return self.proj(crops[..., self.margin : width - self.margin])


class CnnStem(Stem):
    """One feature map of a timm CNN, brought to the transformer's width."""

    body: Any  # timm says no more about what it makes

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        if not timm.is_model(config.stem):
            near = difflib.get_close_matches(config.stem, timm.list_models(), 3)
            raise HandError(
                f'stem={config.stem!r} is no timm model; use "patch" or a timm name'
                + (f" such as {', '.join(near)}." if near else ".")
            )
        self.body = timm.create_model(
            config.stem, pretrained=False, features_only=True, out_indices=(config.stem_level,)
        )
        stride = self.body.feature_info.reduction()[-1]
        self.proj = nn.Conv2d(self.body.feature_info.channels()[-1], config.dim, 1)
        side, width = config.image_size, config.visible_width
        self.margin = (side - width) // 2
        lag = _stem_lag(config, stride)
        if lag == 0 and (side % stride or width % stride):
            raise HandError(
                f"{config.stem} cuts patches of {stride} px; the visible {width} x {side} px are "
                "no multiple of that."
            )
        size = (-(-side // stride), -(-width // stride))
        frame = FeatureFrame.of_cells(side, stride, size, (self.margin - lag, -lag))
        self._only_map(size, frame, config.dim)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, dim, rows, columns)."""
        width = crops.shape[-1]
        return self.proj(self.body(crops[..., self.margin : width - self.margin])[-1])


class YoloStem(Stem):
    """The body of a hand detector (:mod:`wilor_yolo.reconstruct.yolo_body`).

    Image tokens are its map of stride 16, the finer map is that of stride 8. Its strided
    convolutions centre cell i on pixel stride * i.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        side, width = config.image_size, config.visible_width
        if side % 32 or width % 32:
            raise HandError(f"{config.stem} needs visible sides that are multiples of 32 px.")
        self.body = YoloBody(config.stem)
        self.fine_channels, channels = self.body.channels
        self.proj = nn.Conv2d(channels, config.dim, 1)
        self.margin = (side - width) // 2
        self.map_size, self.frame = self._place(16, side, width)
        self.fine_size, self.fine_frame = self._place(8, side, width)
        # Detectors read 0 to 1, not ImageNet's normalisation.
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(3, 1, 1), persistent=False)

    def _place(self, stride: int, side: int, width: int) -> tuple[tuple[int, int], FeatureFrame]:
        size, lag = (side // stride, width // stride), (stride - 1) / 2
        return size, FeatureFrame.of_cells(side, stride, size, (self.margin - lag, -lag))

    def both_maps(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`Stem`."""
        width = crops.shape[-1]
        fine, tokens = self.body(
            crops[..., self.margin : width - self.margin] * self.std + self.mean
        )
        return self.proj(tokens), fine

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, dim, rows, columns)."""
        return self.both_maps(crops)[0]


def _stem_lag(config: NetworkConfig, stride: int) -> float:
    """By how many pixels the centre of a map's cell lies before the centre of its patch."""
    if config.stem_lag is not None:
        return config.stem_lag
    if _PATCHIFY_FAMILIES.match(config.stem):
        return 0.0
    if _CENTRED_FAMILIES.match(config.stem) or not config.scales or config.sampling != "aligned":
        return (stride - 1) / 2
    raise HandError(
        f"where the feature map of {config.stem} lies in the crop was not measured; give stem_lag= "
        "(px by which a cell's centre lies before that of its patch; (stride - 1) / 2 when all "
        "strided convolutions have odd kernels and symmetric padding)."
    )
