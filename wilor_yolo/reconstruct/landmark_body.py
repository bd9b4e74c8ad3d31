"""A mobile CNN that has seen hands before: the layers of MediaPipe's hand landmark network.

Inverted bottlenecks (Sandler et al. 2018) at the widths of that network (Zhang et al. 2020,
"MediaPipe Hands"), so that its published weights (Apache-2.0) can be the start of a training
(:mod:`wilor_yolo.reconstruct.landmark_weights`). Its strided convolutions pad below and to the
right only, as TensorFlow does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..skeleton import NUM_JOINTS

__all__ = ["LANDMARK_SIZE", "LandmarkBody", "LandmarkMaps"]

LANDMARK_SIZE = 224  # px, side of the pictures the published network reads
_STEM = 24
# kernel, stride, hidden channels, channels out; hidden 0: no expansion before the first block.
_BLOCKS = (
    (3, 1, 0, 16),
    (3, 2, 64, 24),
    (3, 1, 144, 24),
    (5, 2, 144, 40),
    (5, 1, 240, 40),
    (3, 2, 240, 80),
    (3, 1, 480, 80),
    (3, 1, 480, 80),
    (5, 1, 480, 112),
    (5, 1, 672, 112),
    (5, 1, 672, 112),
    (5, 2, 672, 192),
    (5, 1, 1152, 192),
    (5, 1, 1152, 192),
    (5, 1, 1152, 192),
)
_SIXTEENTH = 10  # the last block of stride 16
_TOP = 1152


@dataclass
class LandmarkMaps:
    """What the body reads.

    Attributes:
        sixteenth: (B, 112, H / 16, W / 16).
        top: (B, 1152, H / 32, W / 32).
        points: (B, 21, 2) px of the input picture, as the published network guesses them.
        joints: (B, 21, 3) metres about the middle of the hand, axes of the camera; likewise.
        side: (B,) logit that the picture shows a right hand; likewise.
    """

    sixteenth: Tensor
    top: Tensor
    points: Tensor
    joints: Tensor
    side: Tensor


class LandmarkBody(nn.Module):
    """Pictures to feature maps and a first guess of the hand."""

    channels = (_BLOCKS[_SIXTEENTH][3], _TOP)

    def __init__(self) -> None:
        super().__init__()
        self.stem = _SameConv(3, _STEM, 3, 2)
        width = _STEM
        blocks = []
        for kernel, stride, hidden, out in _BLOCKS:
            blocks.append(_Bottleneck(width, hidden, out, kernel, stride))
            width = out
        self.blocks = nn.ModuleList(blocks)
        self.expand = nn.Conv2d(width, _TOP, 1)
        self.depthwise = _SameConv(_TOP, _TOP, 3, groups=_TOP)
        self.points = nn.Linear(_TOP, 3 * NUM_JOINTS)
        self.side = nn.Linear(_TOP, 1)
        self.joints = nn.Linear(_TOP, 3 * NUM_JOINTS)

    def forward(self, images: Tensor) -> LandmarkMaps:
        """Read (B, 3, H, W) RGB, 0 to 1; H, W multiples of 32 px."""
        x = functional.relu6(self.stem(images))
        sixteenth = x
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i == _SIXTEENTH:
                sixteenth = x
        top = functional.relu6(self.depthwise(functional.relu6(self.expand(x))))
        with torch.autocast(images.device.type, enabled=False):
            pooled = top.float().mean(dim=(2, 3))
            points = self.points(pooled).unflatten(1, (NUM_JOINTS, 3))[..., :2]
            joints = self.joints(pooled).unflatten(1, (NUM_JOINTS, 3))
            side = self.side(pooled).squeeze(1)
        return LandmarkMaps(sixteenth, top, points, joints, side)


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = hidden or inputs
        self.expand = nn.Conv2d(inputs, width, 1) if hidden else None
        self.depthwise = _SameConv(width, width, kernel, stride, groups=width)
        self.project = nn.Conv2d(width, outputs, 1)
        self.add = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else functional.relu6(self.expand(x))
        y = self.project(functional.relu6(self.depthwise(y)))
        return x + y if self.add else y


class _SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow's "same" does for sides that the stride divides."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        self.before = (kernel - stride) // 2
        self.after = kernel - stride - self.before
        even = self.before == self.after
        super().__init__(inputs, outputs, kernel, stride, self.before if even else 0, groups=groups)
        self.uneven = not even

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven:
            x = functional.pad(x, (self.before, self.after, self.before, self.after))
        return super().forward(x)
