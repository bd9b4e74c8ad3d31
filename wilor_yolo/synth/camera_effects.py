"""From scene radiance to the picture a real camera would have stored.

Order as in a camera: lens (defocus, motion), exposure, sensor noise, white balance and tone curve,
scaling, JPEG. Geometry is never touched, so labels stay true.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .light import srgb_from_linear

__all__ = ["CameraEffects", "develop", "motion_kernel", "sample_effects"]


@dataclass(frozen=True)
class CameraEffects:
    """One camera and its settings; lengths in pixels of the finished picture.

    Attributes:
        exposure: sRGB-like brightness 0..1 that the metered region is brought to.
        gain: (3,) white balance error.
        contrast: slope of the tone curve around the middle; 1 is neutral.
        saturation: 0 grey, 1 neutral.
        vignette: darkening of the corners, 0..1.
        defocus: radius of the blur disc, px.
        motion: (dx, dy) path of the shake, px.
        low_resolution: the picture is first made this many times smaller, >= 1.
        read_noise, shot_noise: deviation at black, and at white, of 0..1 values.
        noise_size: width of the noise grain, px (denoised phones have coarse grain).
        jpeg: quality 0..100; 101 leaves the compression out.
        sharpen: amount of over-sharpening halo, 0..1.
    """

    exposure: float
    gain: tuple[float, float, float]
    contrast: float
    saturation: float
    vignette: float
    defocus: float
    motion: tuple[float, float]
    low_resolution: float
    read_noise: float
    shot_noise: float
    noise_size: float
    jpeg: int
    sharpen: float


def sample_effects(rng: np.random.Generator, size: int) -> CameraEffects:
    """A random camera for pictures of `size` pixels."""
    scale = size / 256
    dark = rng.random() < 0.05
    cast = 0.11 if rng.random() < 0.15 else 0.04
    gain = np.exp(rng.normal(0, cast, 3))
    # Casts run mostly along blue-yellow, as lamps do.
    warmth = np.exp(rng.normal(0, 2 * cast))
    gain *= [warmth**0.5, 1.0, warmth**-0.6]
    blurred = rng.random()
    defocus = rng.uniform(0.6, 3.0) * scale if blurred < 0.10 else 0.0
    motion = (0.0, 0.0)
    if 0.10 < blurred < 0.20:
        angle, length = rng.uniform(0, np.pi), rng.uniform(2, 11) * scale
        motion = (float(length * np.cos(angle)), float(length * np.sin(angle)))
    noisy = rng.random() ** 3 * (0.8 if dark else 0.7)
    red, green, blue = (float(g) for g in gain / gain.mean())
    return CameraEffects(
        exposure=float(
            rng.uniform(0.10, 0.28) if dark else np.clip(rng.normal(0.60, 0.12), 0.3, 0.9)
        ),
        gain=(red, green, blue),
        contrast=float(np.exp(rng.normal(0.08, 0.18))),
        saturation=0.0 if rng.random() < 0.03 else float(np.clip(rng.normal(1.0, 0.18), 0.3, 1.6)),
        vignette=float(rng.uniform(0, 0.5) if rng.random() < 0.3 else 0.0),
        defocus=float(defocus),
        motion=motion,
        low_resolution=float(
            np.exp(rng.uniform(0, 1.0 if 0.10 < blurred < 0.20 else 1.4))
            if rng.random() < 0.28
            else 1.0
        ),
        read_noise=float(0.002 + 0.03 * noisy),
        shot_noise=float(0.004 + 0.06 * noisy),
        noise_size=float(rng.uniform(0.5, 1.2) if rng.random() < 0.5 else 0.0),
        jpeg=int(rng.integers(25, 97)) if rng.random() < 0.7 else 101,
        sharpen=float(rng.uniform(0.2, 1.0) if rng.random() < 0.3 else 0.0),
    )


def develop(
    radiance: np.ndarray,
    effects: CameraEffects,
    rng: np.random.Generator,
    metered: np.ndarray | None = None,
) -> np.ndarray:
    """Scene radiance to a stored picture.

    Args:
        radiance: (H, W, 3) float32 linear RGB.
        metered: (H, W) weights of the region the exposure is made for; the whole picture when
            None. A camera that meters on a dark face or hand burns the window behind it.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    height, width = radiance.shape[:2]
    image = np.nan_to_num(radiance).astype(np.float32)
    image = image * _exposure_factor(image, effects.exposure, metered)
    if effects.defocus > 0.3:
        image = cv2.filter2D(image, -1, _disc(effects.defocus))
    if max(abs(effects.motion[0]), abs(effects.motion[1])) > 1:
        image = cv2.filter2D(image, -1, motion_kernel(effects.motion))
    small = (
        max(8, round(width / effects.low_resolution)),
        max(8, round(height / effects.low_resolution)),
    )
    if effects.low_resolution > 1.02:
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    image *= np.asarray(effects.gain, np.float32)
    if effects.vignette > 0:
        image *= _vignette(image.shape[1], image.shape[0], effects.vignette)
    image = _add_noise(image, effects, rng)
    image = srgb_from_linear(np.clip(_shoulder(image), 0, 1)).astype(np.float32)
    image = _tone(image, effects)
    if effects.sharpen > 0:
        image += effects.sharpen * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
    stored = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)[..., ::-1]
    if effects.jpeg <= 100:
        quality = [cv2.IMWRITE_JPEG_QUALITY, effects.jpeg]
        stored = cv2.imdecode(cv2.imencode(".jpg", stored, quality)[1], cv2.IMREAD_COLOR)
    if effects.low_resolution > 1.02:
        ways = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)
        way = ways[int(rng.integers(len(ways)))]
        stored = cv2.resize(np.ascontiguousarray(stored), (width, height), interpolation=way)
    return np.ascontiguousarray(stored)


def _exposure_factor(image: np.ndarray, target: float, metered: np.ndarray | None) -> float:
    grey = image @ np.array([0.3, 0.55, 0.15], np.float32)
    if metered is None:
        level = np.exp(np.log(np.clip(grey, 1e-3, 4)).mean())
    else:
        level = (np.clip(grey, 0, 4) * metered).sum() / (metered.sum() + 1e-6)
    return float(target**2.2 / max(level, 1e-3))


def _shoulder(image: np.ndarray) -> np.ndarray:
    """Highlights roll off above 0.7 instead of clipping at once."""
    over = np.maximum(image - 0.7, 0)
    return np.minimum(image, 0.7) + 0.3 * (1 - np.exp(-over / 0.45))


def _add_noise(image: np.ndarray, effects: CameraEffects, rng: np.random.Generator) -> np.ndarray:
    noise: np.ndarray = rng.standard_normal(image.shape, dtype=np.float32)
    if effects.noise_size > 0:
        noise = cv2.GaussianBlur(noise, (0, 0), effects.noise_size)
        noise *= 2 * np.sqrt(np.pi) * effects.noise_size  # keeps the deviation about 1
    deviation = np.sqrt(effects.read_noise**2 + effects.shot_noise**2 * np.maximum(image, 0))
    return image + 0.5 * noise * deviation


def _tone(image: np.ndarray, effects: CameraEffects) -> np.ndarray:
    if abs(effects.saturation - 1) > 0.01:
        grey = (image @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
        image = grey + effects.saturation * (image - grey)
    return 0.5 + effects.contrast * (image - 0.5) if effects.contrast != 1 else image


def _disc(radius: float) -> np.ndarray:
    n = int(np.ceil(radius))
    y, x = np.mgrid[-n : n + 1, -n : n + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def motion_kernel(path: tuple[float, float]) -> np.ndarray:
    """Blur kernel of a straight shake along `path` = (dx, dy) px; odd sides, sums to 1."""
    n = int(np.ceil(max(abs(path[0]), abs(path[1])) / 2))
    kernel = np.zeros((2 * n + 1, 2 * n + 1), np.float32)
    for t in np.linspace(-0.5, 0.5, 8 * n + 1):
        x, y = n + t * path[0], n + t * path[1]
        i, j = int(np.floor(y)), int(np.floor(x))
        a, b = y - i, x - j
        for row, wy in ((i, 1 - a), (i + 1, a)):
            for column, wx in ((j, 1 - b), (j + 1, b)):
                if row <= 2 * n and column <= 2 * n:
                    kernel[row, column] += wy * wx
    return kernel / kernel.sum()


def _vignette(width: int, height: int, amount: float) -> np.ndarray:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    return (1 - amount * np.minimum((x * x + y * y) / 2, 1))[..., None]
