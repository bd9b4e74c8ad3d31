"""Stems: how a crop becomes a map of image tokens.

The plain ViT cuts patches (Dosovitskiy et al. 2021); the others take a feature map of a CNN
("hybrid" ViT). A stem may know hands already and then gives more than a map.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ..crops import IMAGE_MEAN, IMAGE_STD
from ..errors import HandError
from ..skeleton import NUM_JOINTS
from .config import LANDMARK_STEM, NetworkConfig
from .frame import FeatureFrame
from .landmark_body import LANDMARK_SIZE, LandmarkBody
from .yolo_body import YOLO_WIDTHS, YoloBody

__all__ = ["LandmarkEvidence", "Stem", "StemRead", "make_stem"]

# Where the cells of a CNN's maps lie. A stride-2 convolution of odd kernel and symmetric padding
# centres its output pixel i on input pixel 2 i; a convolution of patches covers whole patches. The
# tests measure these families; others mix both kinds (ResNet-D, DenseNet, TensorFlow padding).
_CENTRED_FAMILIES = re.compile(
    r"(mobilenetv[1-4]|resnet(18|34|50|101|152)(\.|$)|resnext(50|101)_|fastvit|efficientnet_|regnet"
    r"|repvgg|mobileone|ghostnet|repghostnet|lcnet|darknet)"
)
_PATCHIFY_FAMILIES = re.compile(r"(convnext|edgenext)")


@dataclass
class LandmarkEvidence:
    """What a landmark stem says of the joints, for the loss.

    Attributes:
        points: (B, 21, 2) crop units.
        joints: (B, 21, 3) metres relative to the wrist.
    """

    points: Tensor
    joints: Tensor


@dataclass
class StemRead:
    """What a stem read.

    Attributes:
        features: (B, dim, rows, columns) the map of image tokens.
        fine: (B, C, h, w) a finer map; the same one where a stem has no other.
        skip: (B, dim, 2 rows, 2 columns) what the tokens, doubled, are added to when they have been
            read; of stems whose tokens are coarse.
        guess: (B, 3, dim) added to the pose, shape and camera tokens; only of stems that know
            hands, like the rest.
        side_logit: (B,) that the crop shows a right hand.
        evidence: what the guess was made of.
    """

    features: Tensor
    fine: Tensor
    skip: Tensor | None = None
    guess: Tensor | None = None
    side_logit: Tensor | None = None
    evidence: LandmarkEvidence | None = None


def make_stem(config: NetworkConfig) -> Stem:
    """The stem that `config.stem` names.

    Raises:
        HandError: no such stem, or one that does not fit the image size.
    """
    if config.stem == "patch":
        return PatchStem(config)
    if config.stem == LANDMARK_STEM:
        return LandmarkStem(config)
    return YoloStem(config) if config.stem in YOLO_WIDTHS else CnnStem(config)


class Stem(nn.Module):
    """Crops to a map of image tokens; some stems also have a finer map.

    Attributes:
        map_size: rows, columns of the token map.
        frame: where it lies in the crop; of the twice as fine map where the stem has a skip.
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

    def read(self, crops: Tensor) -> StemRead:
        """Read crops (B, 3, S, S), normalised RGB."""
        features = self(crops)
        return StemRead(features, features)


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

    def read(self, crops: Tensor) -> StemRead:
        """See :class:`Stem`."""
        width = crops.shape[-1]
        fine, tokens = self.body(
            crops[..., self.margin : width - self.margin] * self.std + self.mean
        )
        return StemRead(self.proj(tokens), fine)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, dim, rows, columns)."""
        return self.read(crops).features


class LandmarkStem(Stem):
    """A network that finds hand landmarks (:mod:`wilor_yolo.reconstruct.landmark_body`).

    Image tokens are its deepest map, of stride 32; its map of stride 16 is added when they have
    been read. Its landmarks and what it saw of the whole crop are the first guess. Its strided
    convolutions, padded below and to the right, centre cell i on pixel stride * (i + 1) - 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        side, dim = config.image_size, config.dim
        if config.visible != 1 or side % 32:
            raise HandError(f"{config.stem} needs visible=1 and an image_size in multiples of 32.")
        self.body = LandmarkBody()
        channels, top = self.body.channels
        self.proj = nn.Conv2d(channels, dim, 1)
        self.top = nn.Conv2d(top, dim, 1)
        self.context = nn.Linear(top, dim)
        self.guess = nn.Sequential(
            nn.Linear(5 * NUM_JOINTS + dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, 3 * dim)
        )
        lag = -(16 - 1) / 2
        frame = FeatureFrame.of_cells(side, 16, (side // 16, side // 16), (-lag, -lag))
        self._only_map((side // 32, side // 32), frame, dim)
        # It reads 0 to 1, not ImageNet's normalisation.
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(3, 1, 1), persistent=False)

    def read(self, crops: Tensor) -> StemRead:
        """See :class:`Stem`."""
        seen = self.body(crops * self.std + self.mean)
        features, skip = self.top(seen.top), self.proj(seen.sixteenth)
        with torch.autocast(crops.device.type, enabled=False):
            points = seen.points / LANDMARK_SIZE - 0.5
            joints = seen.joints - seen.joints[:, :1]
            context = self.context(seen.top.float().mean(dim=(2, 3)))
            told = torch.cat(((points * 2).flatten(1), (joints * 10).flatten(1), context), dim=1)
            guess = self.guess(told).unflatten(1, (3, -1))
        evidence = LandmarkEvidence(points, joints)
        return StemRead(features, features, skip, guess, seen.side, evidence)

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, dim, rows, columns)."""
        return self.read(crops).features


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
