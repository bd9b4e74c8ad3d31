"""Panoramas of unbounded radiance as small 16-bit PNGs of logarithms."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["decode", "encode"]

# Radiance relative to the panorama's mean, as powers of two: 11 stops of shadow, 12 of highlight.
_LOWEST, _HIGHEST = -11.0, 12.0
_CODES = 900  # steps of 23 / 900 stops = 1.8 %
_SHIFT = 6  # codes in the high bits, so that the PNG is also readable as a picture


def encode(radiance: np.ndarray) -> np.ndarray:
    """PNG bytes (n,) uint8 of linear RGB radiance (H, W, 3) float32 >= 0, scaled to mean 1."""
    relative = radiance / radiance.mean()
    stops = np.log2(np.maximum(relative, 2.0**_LOWEST))
    fraction = (np.minimum(stops, _HIGHEST) - _LOWEST) / (_HIGHEST - _LOWEST)
    codes = np.round(fraction * _CODES).astype(np.uint16)
    # Green, and what red and blue differ from it: the differences are small and compress better.
    green = codes[..., 1]
    planes = [(codes[..., 2] - green) % 1024, green, (codes[..., 0] - green) % 1024]
    picture = np.stack(planes, axis=-1).astype(np.uint16) << _SHIFT
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done
    return data.reshape(-1)


def decode(data: np.ndarray) -> np.ndarray:
    """Linear RGB radiance (H, W, 3) float32 of mean about 1 from the bytes of :func:`encode`."""
    stored: np.ndarray | None = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert stored is not None  # `data` is what `encode` made
    picture = stored >> _SHIFT
    green = picture[..., 1]
    codes = np.stack(
        [(picture[..., 2] + green) % 1024, green, (picture[..., 0] + green) % 1024], -1
    )
    stops = codes.astype(np.float32) / _CODES * (_HIGHEST - _LOWEST) + _LOWEST
    return np.exp2(stops)
