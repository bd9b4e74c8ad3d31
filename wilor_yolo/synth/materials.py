"""Cloth, plastic, metal, wood, printed sheets: materials of everything that is not skin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .scene import Points
from .shading import Surface
from .solid_noise import sample_noise
from .texture import random_colour, random_surface

__all__ = [
    "Cloth",
    "Painted",
    "Solid",
    "all_light",
    "random_cloth",
    "random_solid",
    "sample_picture",
]


def all_light(light: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Every vertex is a probe: those not measured (turned away) get the mean."""
    if known.any() and not known.all():
        light = light.copy()
        light[~known] = light[known].mean(0)
    return light


@dataclass(frozen=True)
class Solid:
    """Stuff with a pattern that runs through it.

    Attributes:
        colours: (2, 3) linear albedo.
        pattern: "plain", "noise", "bands" (along z), "grain" (wood).
        cell: size of the pattern, metres.
        roughness, reflectance, coat: see `Surface`.
        offset: (3,) metres, which part of the noise.
    """

    colours: np.ndarray
    pattern: str
    cell: float
    roughness: float
    reflectance: float
    coat: float
    offset: np.ndarray

    @property
    def bounce(self) -> np.ndarray:
        return self.colours.mean(0)

    def spread_light(self, light: np.ndarray, known: np.ndarray) -> np.ndarray:
        return all_light(light, known)

    def surface(self, points: Points) -> Surface:
        at = points.rest + self.offset
        mix: np.ndarray
        if self.pattern == "plain":
            mix = np.zeros(len(at), np.float32)
        elif self.pattern == "bands":
            mix = (np.sin(at[:, 2] * (np.pi / self.cell)) > 0.3).astype(np.float32)
        elif self.pattern == "grain":
            mix = 0.5 + 0.25 * sample_noise("cloud", at * [1, 1, 0.08], self.cell / 6)
        else:
            mix = 1 / (1 + np.exp(-3 * sample_noise("cloud", at, self.cell / 4)))
        albedo = self.colours[0] * (1 - mix[:, None]) + self.colours[1] * mix[:, None]
        albedo = albedo * (1 + 0.04 * sample_noise("fine", at, 0.002))[:, None]
        out = Surface.matt(np.clip(albedo, 0.003, 0.95), self.roughness, self.reflectance)
        out.coat[:] = self.coat
        return out


def random_solid(rng: np.random.Generator) -> Solid:
    """Plastic, wood, paper, rubber, glaze or metal."""
    kind = rng.random()
    colours = np.stack([random_colour(rng), random_colour(rng)])
    pattern = str(rng.choice(["plain", "noise", "bands", "grain"], p=[0.5, 0.2, 0.2, 0.1]))
    roughness, reflectance, coat = rng.uniform(0.35, 0.8), 0.035, 0.0
    if kind < 0.2:  # glaze, polished plastic
        roughness, reflectance, coat = rng.uniform(0.12, 0.3), 0.05, rng.uniform(0.5, 1.0)
    elif kind < 0.32:  # metal
        colours = colours * 0.1 + 0.25
        roughness, reflectance, coat = rng.uniform(0.15, 0.5), rng.uniform(0.3, 0.6), 0.8
    elif kind < 0.5:  # paper, rubber
        roughness, reflectance = 0.9, 0.0
    return Solid(
        colours=colours.astype(np.float32),
        pattern=pattern,
        cell=float(rng.uniform(0.006, 0.05)),
        roughness=float(roughness),
        reflectance=float(reflectance),
        coat=float(coat),
        offset=rng.uniform(0, 1, 3).astype(np.float32),
    )


@dataclass(frozen=True)
class Cloth:
    """Woven or knitted cloth.

    Attributes:
        colours: (2, 3) linear albedo.
        stripe: metres of one stripe across x; 0: none.
        weave: size of the threads, metres.
        offset: (3,) metres.
    """

    colours: np.ndarray
    stripe: float
    weave: float
    offset: np.ndarray

    @property
    def bounce(self) -> np.ndarray:
        return self.colours[0]

    def spread_light(self, light: np.ndarray, known: np.ndarray) -> np.ndarray:
        return all_light(light, known)

    def surface(self, points: Points) -> Surface:
        at = points.rest + self.offset
        n = len(at)
        albedo = np.broadcast_to(self.colours[0], (n, 3))
        if self.stripe > 0:
            second = np.sin(at[:, 0] * (2 * np.pi / self.stripe)) > 0.2
            albedo = np.where(second[:, None], self.colours[1], albedo)
        clear = np.clip(self.weave / (points.footprint + 1e-6) - 0.3, 0, 1)
        thread = sample_noise("fine", at, self.weave)
        shade = 1 + 0.05 * sample_noise("cloud", at, 0.006) + 0.12 * clear * thread
        out = Surface.matt(np.clip(albedo * shade[:, None], 0.003, 0.95))
        out.relief[:, 0] = 0.22 * clear * thread
        out.relief[:, 1] = 0.22 * clear * sample_noise("grain", at, self.weave)
        out.wrap[:] = 0.08
        return out


def random_cloth(rng: np.random.Generator) -> Cloth:
    """A random cloth; dark, grey and blue ones are the most common, as in wardrobes."""
    first = random_colour(rng)
    if rng.random() < 0.45:
        first = np.full(3, 0.01 + 0.6 * rng.random() ** 2) * np.exp(rng.normal(0, 0.12, 3))
    second = random_colour(rng)
    return Cloth(
        colours=np.stack([first, second]).astype(np.float32),
        stripe=float(rng.uniform(0.004, 0.03) if rng.random() < 0.25 else 0.0),
        weave=float(rng.uniform(0.0008, 0.003)),
        offset=rng.uniform(0, 1, 3).astype(np.float32),
    )


@dataclass(frozen=True)
class Painted:
    """A picture stretched over x and y of the part: table tops, books, screens.

    Attributes:
        picture: (H, W, 3) float32 linear albedo.
        extent: metres of the picture's longer side.
        roughness, reflectance: see `Surface`.
    """

    picture: np.ndarray
    extent: float
    roughness: float
    reflectance: float

    @classmethod
    def random(cls, rng: np.random.Generator, extent: float) -> Painted:
        """A random surface of the texture module."""
        picture = random_surface(rng, 320, 320)
        return cls(
            np.clip(picture, 0.01, 0.9),
            extent,
            float(rng.uniform(0.3, 0.9)),
            float(rng.choice([0.0, 0.035])),
        )

    @property
    def bounce(self) -> np.ndarray:
        return self.picture[::8, ::8].mean((0, 1))

    def spread_light(self, light: np.ndarray, known: np.ndarray) -> np.ndarray:
        return all_light(light, known)

    def surface(self, points: Points) -> Surface:
        size = max(self.picture.shape[:2])
        x = (points.rest[:, 0] / self.extent + 0.5) * size - 0.5
        y = (points.rest[:, 1] / self.extent + 0.5) * size - 0.5
        albedo = sample_picture(self.picture, x, y)
        return Surface.matt(albedo, self.roughness, self.reflectance)


def sample_picture(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear samples (N, C); OpenCV takes maps of at most 32,767 columns, so rows are filled."""
    n, columns = len(x), 4096
    rows = -(-n // columns)
    maps = np.zeros((2, rows * columns), np.float32)
    maps[0, :n], maps[1, :n] = x, y
    across, down = maps.reshape(2, rows, columns)
    out = cv2.remap(picture, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return out.reshape(rows * columns, *picture.shape[2:])[:n]
