"""Noise in three dimensions, for textures that stay on a body when it bends."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .extra import require

__all__ = ["CELLS", "noise_volume", "sample_noise"]

njit = require("numba").njit

CELLS = 64  # grid points a side; the pattern repeats


@lru_cache(maxsize=8)
def noise_volume(name: str) -> np.ndarray:
    """A periodic noise volume (64, 64, 64) float32, mean 0, deviation 1.

    Args:
        name: "cloud" (soft, several scales), "fine" or "grain" (about one grid cell).
    """
    filters = require("scipy.ndimage")
    octaves, seed = {
        "cloud": (((6, 1.0), (3, 0.6), (1.5, 0.35)), 1),
        "fine": (((1.3, 1.0), (0.7, 0.8)), 2),
        "grain": (((1.0, 1.0), (0.6, 0.7)), 3),
    }[name]
    rng = np.random.default_rng(seed)
    total = np.zeros((CELLS,) * 3, np.float32)
    for sigma, weight in octaves:
        white = rng.standard_normal((CELLS,) * 3).astype(np.float32)
        layer = filters.gaussian_filter(white, sigma, mode="wrap")
        total += weight * layer / layer.std()
    return np.ascontiguousarray(total / total.std(), dtype=np.float32)


@njit(cache=True, fastmath=True, inline="always")
def noise_at(volume, x, y, z):
    """Trilinear value at grid coordinates (x, y, z), repeating every 64."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    a, b, c = x - fx, y - fy, z - fz
    x0, y0, z0 = int(fx) & 63, int(fy) & 63, int(fz) & 63
    x1, y1, z1 = (x0 + 1) & 63, (y0 + 1) & 63, (z0 + 1) & 63
    low = (volume[x0, y0, z0] * (1 - c) + volume[x0, y0, z1] * c) * (1 - b) + (
        volume[x0, y1, z0] * (1 - c) + volume[x0, y1, z1] * c
    ) * b
    high = (volume[x1, y0, z0] * (1 - c) + volume[x1, y0, z1] * c) * (1 - b) + (
        volume[x1, y1, z0] * (1 - c) + volume[x1, y1, z1] * c
    ) * b
    return low * (1 - a) + high * a


@njit(cache=True, fastmath=True)
def _sample(volume, points, scale, out):
    for i in range(points.shape[0]):
        out[i] = noise_at(volume, points[i, 0] * scale, points[i, 1] * scale, points[i, 2] * scale)


def sample_noise(name: str, points: np.ndarray, cell: float) -> np.ndarray:
    """Values (N,) of a volume at points (N, 3) metres, `cell` metres a grid step."""
    out = np.empty(len(points), np.float32)
    _sample(noise_volume(name), np.ascontiguousarray(points, np.float32), 1.0 / cell, out)
    return out
