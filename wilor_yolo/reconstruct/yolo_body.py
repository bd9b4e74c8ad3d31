"""The backbone and neck of YOLO11 as a stem: hand detectors make good starts for reconstructors.

A detector that was trained on hands already knows where fingers are; its first 20 layers, up to
the PANet outputs of stride 8 and 16, become the reconstructor's convolutional stem. The layers are
numbered and their tensors named as in a YOLO11 detector file, so that such a file's state dict
loads as it is. Written after the published YOLO11 layer table (Jocher and Qiu 2024); the tests
hold it to the detector's own maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["YOLO_WIDTHS", "YoloBody"]

# Share of the family's full width, by size; m and larger differ in their blocks too.
YOLO_WIDTHS = {"yolo11n": 0.25, "yolo11s": 0.5}


class YoloBody(nn.Module):
    """Layers 0 to 19 of a YOLO11 of size n or s.

    Attributes:
        channels: of the maps of stride 8 and 16.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        width = YOLO_WIDTHS[name]
        c64, c128, c256, c512, c1024 = (int(c * width) for c in (64, 128, 256, 512, 1024))
        none = nn.Identity  # keeps the numbers of layers without weights
        self.model = nn.ModuleList(
            [
                Conv(3, c64, 3, 2),
                Conv(c64, c128, 3, 2),
                Split(c128, c256, _Bottleneck, 0.25),
                Conv(c256, c256, 3, 2),
                Split(c256, c512, _Bottleneck, 0.25),  # 4: stride 8
                Conv(c512, c512, 3, 2),
                Split(c512, c512, _Csp),  # 6: stride 16
                Conv(c512, c1024, 3, 2),
                Split(c1024, c1024, _Csp),
                PyramidPool(c1024),
                AttentionSplit(c1024),  # 10: stride 32
                none(),
                none(),
                Split(c1024 + c512, c512, _Bottleneck),  # 13
                none(),
                none(),
                Split(c512 + c512, c256, _Bottleneck),  # 16: stride 8
                Conv(c256, c256, 3, 2),
                none(),
                Split(c256 + c512, c512, _Bottleneck),  # 19: stride 16
            ]
        )
        self.channels = (c256, c512)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB, 0 to 1, to the maps of stride 8 and 16; H, W multiples of 32."""
        layer = self.model
        x = layer[2](layer[1](layer[0](images)))
        eighth = layer[4](layer[3](x))
        sixteenth = layer[6](layer[5](eighth))
        deep = layer[10](layer[9](layer[8](layer[7](sixteenth))))
        up = layer[13](torch.cat((_double(deep), sixteenth), 1))
        fine = layer[16](torch.cat((_double(up), eighth), 1))
        return fine, layer[19](torch.cat((layer[17](fine), up), 1))


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Conv(nn.Module):
    """Convolution, batch norm and, but where said, SiLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1,
        active: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True) if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """One layer."""
        return self.act(self.bn(self.conv(x)))


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, ratio: float = 0.5) -> None:
        super().__init__()
        self.cv1 = Conv(channels, int(channels * ratio), 3)
        self.cv2 = Conv(int(channels * ratio), channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x))


class _Csp(nn.Module):
    """Cross-stage partial block of two bottlenecks ("C3k")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.cv1 = Conv(channels, half)
        self.cv2 = Conv(channels, half)
        self.cv3 = Conv(2 * half, channels)
        self.m = nn.Sequential(_Bottleneck(half, 1.0), _Bottleneck(half, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class Split(nn.Module):
    """Half of the channels passes a block, and all stages are joined ("C3k2" with one block)."""

    def __init__(
        self, inputs: int, outputs: int, block: type[_Bottleneck | _Csp], ratio: float = 0.5
    ) -> None:
        super().__init__()
        hidden = int(outputs * ratio)
        self.cv1 = Conv(inputs, 2 * hidden)
        self.cv2 = Conv(3 * hidden, outputs)
        self.m = nn.ModuleList([block(hidden)])

    def forward(self, x: Tensor) -> Tensor:
        """Same resolution."""
        first, second = self.cv1(x).chunk(2, 1)
        return self.cv2(torch.cat((first, second, self.m[0](second)), 1))


class PyramidPool(nn.Module):
    """Max pooling at growing sizes ("SPPF")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(2 * channels, channels)
        self.m = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Same resolution."""
        maps = [self.cv1(x)]
        for _ in range(3):
            maps.append(self.m(maps[-1]))
        return self.cv2(torch.cat(maps, 1))


class AttentionSplit(nn.Module):
    """Half of the channels passes a transformer block ("C2PSA")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels)
        self.cv2 = Conv(channels, channels)
        self.m = nn.Sequential(_PsaBlock(channels // 2))

    def forward(self, x: Tensor) -> Tensor:
        """Same resolution."""
        first, second = self.cv1(x).chunk(2, 1)
        return self.cv2(torch.cat((first, self.m(second)), 1))


class _PsaBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attn = _Attention(channels, max(channels // 64, 1))
        self.ffn = nn.Sequential(
            Conv(channels, 2 * channels), Conv(2 * channels, channels, active=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.ffn(x)


class _Attention(nn.Module):
    """Self-attention over cells; keys are half as wide as values, positions come from `pe`."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Conv(channels, 2 * channels, active=False)
        self.proj = Conv(channels, channels, active=False)
        self.pe = Conv(channels, channels, 3, groups=channels, active=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, rows, columns = x.shape
        width = channels // self.heads
        joined = self.qkv(x).view(batch, self.heads, 2 * width, rows * columns)
        query, key, value = joined.transpose(2, 3).split((width // 2, width // 2, width), dim=3)
        read = functional.scaled_dot_product_attention(query, key, value)
        place = value.transpose(2, 3).reshape(batch, channels, rows, columns)
        read = read.transpose(2, 3).reshape(batch, channels, rows, columns)
        return self.proj(read + self.pe(place))
