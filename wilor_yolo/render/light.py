"""Light on a surface, as a table over the directions its normal can take.

The lights hang on the line of sight to each hand: a key light from the upper left, a weaker fill
from the right, a rim that brightens what turns away. So the colour depends on the normal alone, and
is computed once for each paint, in linear light, for a grid of normals.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..geometry import onto_optical_axis

__all__ = ["GRID", "paint_table", "to_linear", "towards_camera"]

# Cells along x and y of the unit disc of normals that face the camera.
GRID = 384

# Directions towards the lights; x right, y down, z away from the camera.
_KEY = np.array([-0.55, -0.70, -0.50])
_FILL = np.array([0.80, 0.10, -0.60])
_KEY_STRENGTH, _FILL_STRENGTH, _AMBIENT = 0.85, 0.14, 0.10
_RIM_STRENGTH, _RIM_POWER = 0.30, 3
_GLOSS_STRENGTH, _GLOSS_POWER = 0.12, 20
_INSIDE = 0.35  # how bright the inside of a mesh is, seen through a hole


@lru_cache(maxsize=32)
def paint_table(rgb: tuple[int, int, int], inside: bool = False) -> np.ndarray:
    """Lit colours of one paint.

    Args:
        rgb: the paint, sRGB 0 to 255.
        inside: for the inside of a mesh: darker, without gloss.

    Returns:
        (GRID * GRID, 3) float32, **BGR** 0 to 255 (sRGB); row ``iy * GRID + ix`` is for the normal
        with x = 2 ix / (GRID - 1) - 1 and likewise y, facing the camera.
    """
    y, x = np.mgrid[-1 : 1 : GRID * 1j, -1 : 1 : GRID * 1j]
    radius = np.maximum(np.hypot(x, y), 1.0)  # the corners of the grid repeat the disc's border
    x, y = x / radius, y / radius
    z = -np.sqrt(np.maximum(1 - x * x - y * y, 0))
    normal = np.stack((x, y, z), axis=-1).reshape(-1, 3)
    key, fill = _KEY / np.linalg.norm(_KEY), _FILL / np.linalg.norm(_FILL)
    from_above = 0.5 - 0.5 * normal[:, 1]
    rim = (1 + normal[:, 2]) ** _RIM_POWER
    diffuse = (
        _AMBIENT
        + _KEY_STRENGTH * np.maximum(normal @ key, 0)
        + _FILL_STRENGTH * np.maximum(normal @ fill, 0)
        + _RIM_STRENGTH * rim * from_above
    )
    half = key + np.array([0, 0, -1])
    gloss = np.maximum(normal @ (half / np.linalg.norm(half)), 0) ** _GLOSS_POWER
    albedo = to_linear(rgb)
    light = albedo * diffuse[:, None]
    light = light * _INSIDE if inside else light + _GLOSS_STRENGTH * gloss[:, None]
    table = np.ascontiguousarray(255 * _to_srgb(np.clip(light, 0, 1))[:, ::-1], dtype=np.float32)
    table.flags.writeable = False
    return table


def towards_camera(vertices: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that turns the line of sight to the middle of a mesh onto the z axis.

    Args:
        vertices: (V, 3) camera frame, metres.
    """
    middle = vertices.mean(axis=0) if len(vertices) else np.array([0.0, 0.0, 1.0])
    return onto_optical_axis(middle)


def to_linear(rgb: Sequence[float] | np.ndarray) -> np.ndarray:
    """Linear light 0 to 1 of sRGB values 0 to 255."""
    srgb = np.asarray(rgb, np.float64) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _to_srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
