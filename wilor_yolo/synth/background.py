"""What lies behind the subject: panoramas, painted surfaces, clutter, a user's own photographs.

Pictures are linear RGB radiance, float32 (H, W, 3); white paper in the scene's light is about 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import HandError
from .light import Lighting, linear_from_srgb, look_up
from .raycast import pixel_rays
from .texture import random_colour, random_surface

__all__ = ["Background", "Photos", "draw_background", "panorama_view"]

_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True)
class Background:
    """A background and where it came from.

    Attributes:
        image: (H, W, 3) float32 linear RGB.
        kind: "panorama", "surface", "plain" or "photo".
    """

    image: np.ndarray
    kind: str


class Photos:
    """Photographs without hands from a folder (searched through), read when drawn.

    Raises:
        HandError: the folder holds no pictures.
    """

    def __init__(self, folder: str | Path) -> None:
        files = (p for p in Path(folder).rglob("*") if p.suffix.lower() in _PICTURES)
        self.paths = sorted(files)
        if not self.paths:
            raise HandError(f"no pictures in {folder}; give a folder of photographs without hands.")

    def draw(self, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
        """A random part of a random photograph, mirrored at random, (height, width, 3) linear."""
        path = self.paths[int(rng.integers(len(self.paths)))]
        photo = cv2.imread(str(path))
        if photo is None:
            raise HandError(f"{path} is not a readable picture; remove it from the folder.")
        rows, columns = photo.shape[:2]
        largest = min(columns / width, rows / height)
        scale = largest * rng.uniform(0.55, 1.0)
        w, h = max(2, int(width * scale)), max(2, int(height * scale))
        x = int(rng.integers(columns - w + 1))
        y = int(rng.integers(rows - h + 1))
        part = photo[y : y + h, x : x + w, ::-1]
        if rng.random() < 0.5:
            part = part[:, ::-1]
        way = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
        part = cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=way)
        return linear_from_srgb(part.astype(np.float32) / 255).astype(np.float32)


def draw_background(
    rng: np.random.Generator,
    width: int,
    height: int,
    lighting: Lighting,
    photos: Photos | None = None,
    photo_share: float = 0.35,
) -> Background:
    """Draw one background.

    Args:
        lighting: its panorama and orientation are used, so that light and view agree.
        photos: pictures to mix in, in `photo_share` of the draws.
    """
    if photos is not None and rng.random() < photo_share:
        return Background(photos.draw(rng, width, height), "photo")
    kind = rng.random()
    if kind < 0.45:
        image = panorama_view(rng, width, height, lighting)
        name = "panorama"
    elif kind < 0.82:
        image = random_surface(rng, width, height)
        image *= _falloff(rng, width, height) * lighting.tint
        name = "surface"
    else:  # walls, black rooms, studio cloth
        image = np.empty((height, width, 3), np.float32)
        image[:] = random_colour(rng) * rng.choice([0.02, 0.3, 1.0, 1.2], p=[0.15, 0.2, 0.45, 0.2])
        image *= _falloff(rng, width, height)
        name = "plain"
    if name != "plain" or rng.random() < 0.4:
        for _ in range(int(rng.integers(0, 7))):
            _add_thing(rng, image)
    if rng.random() < 0.45:  # depth of field; real backgrounds are mostly rather sharp
        sigma = rng.uniform(0.5, 4.0) ** 1.2 * max(width, height) / 256
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    return Background(np.ascontiguousarray(image, np.float32), name)


def panorama_view(
    rng: np.random.Generator, width: int, height: int, lighting: Lighting
) -> np.ndarray:
    """The panorama behind the scene, zoomed out so that its 1.4 pixels a degree look sharper."""
    field = np.deg2rad(rng.uniform(55, 115))
    focal = max(width, height) / 2 / np.tan(field / 2)
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    rays = pixel_rays(intrinsics, (0, 0, width, height)).reshape(-1, 3)
    view = look_up(lighting.panorama.sharp, rays, lighting.world_from_camera)
    view = np.minimum(view, 12.0) * lighting.tint
    image = view.reshape(height, width, 3).astype(np.float32)
    if rng.random() < 0.6:  # grain of the resolution that the small panorama lost
        grain: np.ndarray = rng.standard_normal((height, width, 1)).astype(np.float32)
        grain = cv2.GaussianBlur(grain, (0, 0), 0.9)[..., None]
        image *= 1 + rng.uniform(0.05, 0.25) * grain
    return image


def _falloff(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Light that fades across the picture, (H, W, 1)."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    along = np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5)
    return np.exp(-along * rng.uniform(0, 1.6))[..., None].astype(np.float32)


def _add_thing(rng: np.random.Generator, image: np.ndarray) -> None:
    """One more or less object-like shape with a soft shadow, painted in place."""
    height, width = image.shape[:2]
    size = max(width, height)
    mask = np.zeros((height, width), np.float32)
    centre = rng.uniform(-0.1, 1.1, 2) * [width, height]
    half = size * rng.uniform(0.04, 0.35, 2)
    angle = float(rng.choice([0, 90, rng.uniform(0, 180)]) + rng.normal(0, 4))
    shape = rng.random()
    if shape < 0.55:  # a box: book, screen, cupboard, leg of a table
        if rng.random() < 0.3:
            half[0] *= 0.15
        corners: np.ndarray = cv2.boxPoints((tuple(centre), tuple(2 * half), angle))
        corners += rng.normal(0, 0.04 * size, (4, 2)) * (rng.random() < 0.4)
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1.0, cv2.LINE_AA)
    elif shape < 0.85:
        axes = tuple(int(a) for a in half)
        cv2.ellipse(mask, tuple(int(c) for c in centre), axes, angle, 0, 360, 1.0, -1, cv2.LINE_AA)
    else:  # cables, rods, twigs
        path = centre + np.cumsum(rng.normal(0, size * 0.12, (6, 2)), axis=0)
        thick = int(rng.integers(1, max(2, size // 24)))
        cv2.polylines(mask, [path.astype(np.int32)], False, 1.0, thick, cv2.LINE_AA)
    shadow = cv2.GaussianBlur(mask, (0, 0), size * 0.02)
    shift = rng.normal(0, 0.02 * size, 2)
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    image *= 1 - 0.5 * rng.random() * cv2.warpAffine(shadow, move, (width, height))[..., None]
    if rng.random() < 0.5:
        paint = random_surface(rng, width, height)
    else:
        paint = np.empty_like(image)
        paint[:] = random_colour(rng)
    paint *= _falloff(rng, width, height)
    mask = mask[..., None]
    image *= 1 - mask
    image += paint * mask
