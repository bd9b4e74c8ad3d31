"""Procedural surfaces: cloth, tiles, wood, grass, paper with writing. Linear RGB reflectance."""

from __future__ import annotations

import cv2
import numpy as np

from .light import linear_from_srgb

__all__ = ["fractal_noise", "random_colour", "random_surface"]


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """A linear RGB colour (3,): mostly muted, as things are, sometimes vivid."""
    saturation = rng.random() ** 2.2
    value = rng.uniform(0.06, 1.0)
    hsv = np.array([[[rng.uniform(0, 360), saturation, value]]], np.float32)
    return linear_from_srgb(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]).astype(np.float32)


def fractal_noise(
    rng: np.random.Generator,
    width: int,
    height: int,
    coarsest: float = 4.0,
    roughness: float = 0.55,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """Smooth noise of several scales, (H, W) float32 of mean 0 and deviation about 1.

    Args:
        coarsest: cells of the largest scale along the picture.
        roughness: factor from each scale to the next finer one.
        stretch: cells are this many times longer in x and y.
    """
    total = np.zeros((height, width), np.float32)
    weight, cells = 1.0, coarsest
    while cells < max(width, height) and weight > 0.04:
        columns = max(2, int(cells / stretch[0]))
        rows = max(2, int(cells * height / width / stretch[1]))
        columns, rows = min(columns, width), min(rows, height)
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= roughness
        cells *= 2.1
    return total / (total.std() + 1e-6)


def random_surface(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A random flat surface (H, W, 3) float32, often seen at a slant."""
    makers = (_mottled, _mottled, _stripes, _checks, _tiles, _wood, _grass, _paper, _print, _carpet)
    image = makers[int(rng.integers(len(makers)))](rng, width, height)
    if rng.random() < 0.6:
        image = _slanted(rng, image)
    return np.ascontiguousarray(np.clip(image, 0.002, 1.5), dtype=np.float32)


def _slanted(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Turn, scale and tilt the surface; the texture repeats mirrored beyond its border."""
    height, width = image.shape[:2]
    angle, scale = rng.uniform(0, 2 * np.pi), np.exp(rng.normal(0, 0.4))
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    tilt = rng.normal(0, 0.35, 2) / max(width, height)
    middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    turn = np.array([[c, -s, 0], [s, c, 0], [tilt[0], tilt[1], 1]])
    matrix = np.linalg.inv(middle) @ turn @ middle
    return cv2.warpPerspective(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def _between(rng: np.random.Generator, mix: np.ndarray) -> np.ndarray:
    """Two random colours mixed by (H, W) weights in 0..1."""
    a, b = random_colour(rng), random_colour(rng)
    if rng.random() < 0.6:  # tone in tone
        b = a * np.exp(rng.normal(0, 0.5))
    return a * mix[..., None] + b * (1 - mix[..., None])


def _mottled(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    noise = fractal_noise(rng, width, height, rng.uniform(2, 12), rng.uniform(0.35, 0.8))
    return _between(rng, 1 / (1 + np.exp(-noise * rng.uniform(0.5, 4))))


def _stripes(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    bend = fractal_noise(rng, width, height, 3) * rng.uniform(0, 4)
    x = np.arange(width, dtype=np.float32)[None] + bend
    period = rng.uniform(5, 60)
    wave = np.sin(x * 2 * np.pi / period) + rng.uniform(-0.8, 0.8)
    image = _between(rng, 1 / (1 + np.exp(-wave * rng.uniform(2, 20))))
    return image * (1 + 0.08 * fractal_noise(rng, width, height, 40)[..., None])


def _checks(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    period = rng.uniform(10, 60)
    x = (np.arange(width) / period) % 1 < rng.uniform(0.2, 0.6)
    y = (np.arange(height) / period) % 1 < rng.uniform(0.2, 0.6)
    mix = 0.5 * x[None].astype(np.float32) + 0.5 * y[:, None].astype(np.float32)
    return _between(rng, mix) * (1 + 0.1 * fractal_noise(rng, width, height, 30)[..., None])


def _tiles(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    w, h = rng.uniform(18, 90), rng.uniform(18, 90)
    row = np.arange(height) / h
    offset = (np.floor(row)[:, None] % 2) * 0.5 * (rng.random() < 0.5)
    column = np.arange(width)[None] / w + offset
    seed = np.floor(column) * 37 + np.floor(row)[:, None] * 101 + rng.integers(1000)
    shade = np.sin(seed * 12.9898) * 43758.5
    shade = shade - np.floor(shade)
    joint = ((column % 1) * w < 2) | ((row[:, None] % 1) * h < 2)
    image = random_colour(rng) * (0.8 + 0.3 * rng.random() * shade[..., None])
    image = np.where(joint[..., None], random_colour(rng), image).astype(np.float32)
    return image * (1 + 0.06 * fractal_noise(rng, width, height, 6)[..., None])


def _wood(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    grain = fractal_noise(rng, width, height, 8, 0.75, stretch=(14.0, 0.5))
    base = linear_from_srgb(np.array([0.62, 0.42, 0.25]) * rng.uniform(0.4, 1.4))
    image = base * np.exp(0.22 * grain[..., None] * [0.8, 1.0, 1.15])
    plank = np.arange(height) % max(12, int(rng.uniform(20, 120))) < 1
    image[plank] *= 0.4
    return image.astype(np.float32)


def _grass(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    blades = fractal_noise(rng, width, height, 60, 0.9, stretch=(0.6, 2.0))
    patches = fractal_noise(rng, width, height, 4)
    base = linear_from_srgb(np.array([0.42, 0.52, 0.22]) * rng.uniform(0.6, 1.2))
    return (base * np.exp(0.5 * blades + 0.25 * patches)[..., None]).astype(np.float32)


def _paper(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Lines of writing or print on something light."""
    image = np.full((height, width, 3), rng.uniform(0.6, 0.95), np.float32)
    pitch = int(rng.integers(7, 22))
    ink = float(rng.uniform(0.02, 0.3))
    for y in range(pitch, height, pitch):
        x = int(rng.integers(4, 30))
        while x < width - 10:
            length = int(rng.integers(4, 30))
            thick = max(1, pitch // 4)
            cv2.line(image, (x, y), (min(x + length, width), y), (ink,) * 3, thick)
            x += length + int(rng.integers(3, 10))
    return image


def _print(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Cloth or wallpaper with a scattered motif."""
    image = np.empty((height, width, 3), np.float32)
    image[:] = random_colour(rng)
    colours = [tuple(float(c) for c in random_colour(rng)) for _ in range(3)]
    for _ in range(int(rng.integers(15, 90))):
        centre = tuple(int(v) for v in rng.uniform(0, 1, 2) * [width, height])
        axes = tuple(int(v) for v in rng.uniform(2, 22, 2))
        colour = colours[int(rng.integers(3))]
        cv2.ellipse(image, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    return image * (1 + 0.1 * fractal_noise(rng, width, height, 50)[..., None])


def _carpet(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    fine: np.ndarray = rng.standard_normal((height, width)).astype(np.float32)
    fine = cv2.GaussianBlur(fine, (0, 0), rng.uniform(0.5, 1.5))
    fine = fine / fine.std()
    return random_colour(rng) * np.exp(rng.uniform(0.1, 0.5) * fine)[..., None]
