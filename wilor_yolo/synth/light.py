"""Light: a panorama around the scene, one key light, and what reaches a surface.

Radiance is linear RGB, relative: a panorama's usual surroundings are about 1. Irradiance is
divided by pi, so that a white surface under the open panorama has radiance 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ..weights_dir import shipped
from .extra import require
from .hdri_codec import decode
from .one_thread import one_thread
from .raycast import RayScene

__all__ = [
    "Lighting",
    "Panorama",
    "irradiance",
    "linear_from_srgb",
    "look_up",
    "panorama",
    "panorama_names",
    "sample_lighting",
    "srgb_from_linear",
]

njit = require("numba").njit

PANORAMAS = "synth/hdri.npz"
_CEILING = 30.0  # lamps are cut here in the maps that light things: the key light stands for them


@dataclass(frozen=True)
class Panorama:
    """An equirectangular picture of light, y up, and what is derived from it.

    Attributes:
        name: "park", "studio", ...
        sharp: (256, 512, 3) float32 radiance, for backgrounds.
        glossy: (32, 64, 3) slightly blurred, for reflections in nails and lacquer.
        soft: (32, 64, 3) blurred by about 15 degrees, for diffuse rays and skin's sheen.
        diffuse: (32, 64, 3) irradiance / pi of an open surface facing each direction.
        brightest: (3,) unit direction in the panorama's frame of its strongest lamp.
        contrast: radiance of that lamp against the mean: about 3 (overcast) to 1000 (sun).
        lamp_colour: (3,) of mean 1.
    """

    name: str
    sharp: np.ndarray
    glossy: np.ndarray
    soft: np.ndarray
    diffuse: np.ndarray
    brightest: np.ndarray
    contrast: float
    lamp_colour: np.ndarray


@lru_cache(maxsize=1)
def _file() -> dict[str, np.ndarray]:
    with np.load(shipped(PANORAMAS)) as data:
        return {name: data[name] for name in data.files if name != "source"}


def panorama_names() -> list[str]:
    """Names of the shipped panoramas, sorted."""
    return sorted(_file())


@lru_cache(maxsize=64)
@one_thread()  # kept for all pictures to come, whoever asks first
def panorama(name: str) -> Panorama:
    """One shipped panorama, decoded once per process (20 ms)."""
    radiance = decode(_file()[name])
    # The mean without its lamps, lest a sun leave everything else black.
    radiance /= np.minimum(radiance, np.percentile(radiance, 99)).mean()
    height = radiance.shape[0]
    wrapped = np.concatenate([radiance] * 3, axis=1)
    lamp = cv2.GaussianBlur(wrapped, (0, 0), height / 60)[:, 2 * height : 4 * height]
    weight = np.sin((np.arange(height) + 0.5) / height * np.pi)[:, None]
    row, column = np.unravel_index(np.argmax(lamp.mean(-1) * weight**0.1), lamp.shape[:2])
    up = np.pi * (0.5 - (row + 0.5) / height)
    around = 2 * np.pi * ((column + 0.5) / (2 * height) - 0.5)
    brightest = np.array(
        [np.cos(up) * np.sin(around), np.sin(up), -np.cos(up) * np.cos(around)], np.float32
    )
    peak = lamp[row, column]
    small = cv2.resize(np.minimum(radiance, _CEILING), (64, 32), interpolation=cv2.INTER_AREA)
    tripled = np.concatenate([small] * 3, axis=1)

    def blurred(sigma: float) -> np.ndarray:
        return np.ascontiguousarray(cv2.GaussianBlur(tripled, (0, 0), sigma)[:, 64:128])

    return Panorama(
        name=name,
        sharp=np.ascontiguousarray(radiance, dtype=np.float32),
        glossy=blurred(0.8),
        soft=blurred(2.6),
        diffuse=_cosine_blurred(small),
        brightest=brightest,
        contrast=float(peak.mean()),
        lamp_colour=(peak / peak.mean()).astype(np.float32),
    )


def _cosine_blurred(radiance: np.ndarray) -> np.ndarray:
    """Irradiance / pi (32, 64, 3) for each direction of a panorama (32, 64, 3)."""
    coarse = cv2.resize(radiance, (32, 16), interpolation=cv2.INTER_AREA)
    up = np.pi * (0.5 - (np.arange(16) + 0.5) / 16)
    around = 2 * np.pi * ((np.arange(32) + 0.5) / 32 - 0.5)
    up, around = (a.ravel() for a in np.meshgrid(up, around, indexing="ij"))
    way = np.stack([np.cos(up) * np.sin(around), np.sin(up), -np.cos(up) * np.cos(around)], 1)
    weight = np.maximum(way @ way.T, 0) * np.cos(up)
    weight /= weight.sum(1, keepdims=True)
    out = (weight @ coarse.reshape(-1, 3)).reshape(16, 32, 3).astype(np.float32)
    tripled = np.concatenate([out] * 3, axis=1)
    large = cv2.resize(tripled, (192, 32), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large[:, 64:128])


@dataclass(frozen=True)
class Lighting:
    """All light of one scene, in the camera frame.

    Attributes:
        panorama: the surroundings.
        world_from_camera: (3, 3), camera directions (y down) to panorama directions (y up).
        tint: (3,) factor on the panorama's light (white balance of the place, dimming).
        key_direction: (3,) unit vector from the scene towards the key light.
        key_radiance: (3,) radiance a white surface facing it would have; zeros: no key light.
        key_size: radius of the key light as a tangent, for soft shadows.
    """

    panorama: Panorama
    world_from_camera: np.ndarray
    tint: np.ndarray
    key_direction: np.ndarray
    key_radiance: np.ndarray
    key_size: float


def sample_lighting(rng: np.random.Generator, names: list[str] | None = None) -> Lighting:
    """A random place and key light.

    The camera is roughly level. The key light is the panorama's own lamp in half of the scenes
    (then shadows agree with the background), a free lamp or flash in others, absent in the rest.

    Args:
        names: panoramas to draw from; all by default.
    """
    names = names or panorama_names()
    place = panorama(names[int(rng.integers(len(names)))])
    yaw, pitch, roll = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.28), rng.normal(0, 0.12)
    world_from_camera = _yaw(yaw) @ _pitch(pitch) @ _roll(roll) @ np.diag([1.0, -1.0, -1.0])
    # Cameras balance most of a place's colour away.
    cast = place.sharp.mean((0, 1)) / place.sharp.mean()
    tint = cast ** -rng.uniform(0.4, 1.0) * np.exp(rng.normal(0, 0.05, 3))
    kind = rng.random()
    direction = np.array([0.0, -1.0, 0.0])
    strength = 0.0
    colour = np.ones(3)
    if kind < 0.5 and place.contrast > 4:
        direction = world_from_camera.T @ place.brightest
        strength = rng.uniform(0.3, 1.0) * min(place.contrast / 12, 3.0)
        colour = place.lamp_colour ** rng.uniform(0.4, 1.0)
    elif kind < 0.72:  # a lamp somewhere above and in front of the subject
        direction = rng.normal([0, -0.8, -0.5], 1)
        strength = rng.choice([0.5, 1.2, 2.5])
        colour = _black_body(rng.uniform(2700, 8000))
    elif kind < 0.78:  # flash beside the lens
        direction = rng.normal([0, -0.05, -1.0], 0.08)
        strength = rng.uniform(1.0, 3.0)
    direction = direction / np.linalg.norm(direction)
    return Lighting(
        panorama=place,
        world_from_camera=world_from_camera.astype(np.float32),
        tint=tint.astype(np.float32),
        key_direction=direction.astype(np.float32),
        key_radiance=(strength * colour).astype(np.float32),
        key_size=float(rng.uniform(0.01, 0.07)),
    )


def _yaw(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _pitch(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _roll(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _black_body(kelvin: float) -> np.ndarray:
    """Rough linear RGB of a lamp, mean 1, white at 6500 K."""
    x = np.log(kelvin / 6500)
    colour = np.array([np.exp(-0.62 * x), 1.0, np.exp(0.95 * x)])
    return colour / colour.mean()


@njit(cache=True, fastmath=True, inline="always")
def bilinear_panorama(picture, x, y, z, out):
    """Radiance of `picture` (H, W, 3) towards the unit direction (x, y up, z), into out (3,)."""
    height, width = picture.shape[0], picture.shape[1]
    column = (np.arctan2(x, -z) * (0.5 / np.pi) + 0.5) * width - 0.5
    row = np.arccos(min(1.0, max(-1.0, y))) * (1 / np.pi) * height - 0.5
    c0, r0 = int(np.floor(column)), int(np.floor(row))
    a, b = column - c0, row - r0
    c1 = (c0 + 1) % width
    c0 = c0 % width
    r1 = min(max(r0 + 1, 0), height - 1)
    r0 = min(max(r0, 0), height - 1)
    for k in range(3):
        top = picture[r0, c0, k] * (1 - a) + picture[r0, c1, k] * a
        bottom = picture[r1, c0, k] * (1 - a) + picture[r1, c1, k] * a
        out[k] = top * (1 - b) + bottom * b


@njit(cache=True, fastmath=True)
def _look_up(picture, directions, rotation, out):
    for i in range(directions.shape[0]):
        dx, dy, dz = directions[i, 0], directions[i, 1], directions[i, 2]
        scale = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
        x = (rotation[0, 0] * dx + rotation[0, 1] * dy + rotation[0, 2] * dz) * scale
        y = (rotation[1, 0] * dx + rotation[1, 1] * dy + rotation[1, 2] * dz) * scale
        z = (rotation[2, 0] * dx + rotation[2, 1] * dy + rotation[2, 2] * dz) * scale
        bilinear_panorama(picture, x, y, z, out[i])


def look_up(
    picture: np.ndarray, directions: np.ndarray, world_from_camera: np.ndarray
) -> np.ndarray:
    """Radiance (N, 3) of a panorama picture (H, W, 3) in camera directions (N, 3) of any length."""
    directions = np.ascontiguousarray(directions, dtype=np.float32)
    out = np.empty((len(directions), 3), dtype=np.float32)
    _look_up(picture, directions, np.asarray(world_from_camera, dtype=np.float32), out)
    return out


@njit(cache=True, fastmath=True)
def _hemisphere(points, normals, local, turn, lift, origins, directions):
    rays = local.shape[0]
    for i in range(points.shape[0]):
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        if abs(nx) > 0.9:
            ax, ay, az = -nz, 0.0, nx  # (0, 1, 0) x n
        else:
            ax, ay, az = 0.0, nz, -ny  # n x (1, 0, 0)
        scale = 1.0 / np.sqrt(ax * ax + ay * ay + az * az)
        ax, ay, az = ax * scale, ay * scale, az * scale
        bx, by, bz = ny * az - nz * ay, nz * ax - nx * az, nx * ay - ny * ax
        c, s = np.cos(turn[i]), np.sin(turn[i])
        for j in range(rays):
            p = local[j, 0] * c - local[j, 1] * s
            q = local[j, 0] * s + local[j, 1] * c
            r = local[j, 2]
            k = i * rays + j
            directions[k, 0] = p * ax + q * bx + r * nx
            directions[k, 1] = p * ay + q * by + r * ny
            directions[k, 2] = p * az + q * bz + r * nz
            origins[k, 0] = points[i, 0] + lift * nx
            origins[k, 1] = points[i, 1] + lift * ny
            origins[k, 2] = points[i, 2] + lift * nz


@njit(cache=True, fastmath=True)
def _gather(picture, directions, blocked, rotation, rays, light, visible):
    colour = np.empty(3, np.float32)
    for i in range(light.shape[0]):
        red = green = blue = 0.0
        free = 0
        for j in range(rays):
            k = i * rays + j
            if blocked[k]:
                continue
            free += 1
            dx, dy, dz = directions[k, 0], directions[k, 1], directions[k, 2]
            x = rotation[0, 0] * dx + rotation[0, 1] * dy + rotation[0, 2] * dz
            y = rotation[1, 0] * dx + rotation[1, 1] * dy + rotation[1, 2] * dz
            z = rotation[2, 0] * dx + rotation[2, 1] * dy + rotation[2, 2] * dz
            bilinear_panorama(picture, x, y, z, colour)
            red += colour[0]
            green += colour[1]
            blue += colour[2]
        light[i, 0], light[i, 1], light[i, 2] = red / rays, green / rays, blue / rays
        visible[i] = free / rays


def irradiance(
    lighting: Lighting,
    scene: RayScene,
    points: np.ndarray,
    normals: np.ndarray,
    rng: np.random.Generator,
    rays: int = 24,
    lift: float = 6e-4,
) -> tuple[np.ndarray, np.ndarray]:
    """Light of the surroundings on surface points, with the scene's own occlusion.

    Args:
        points, normals: (N, 3) metres and unit vectors, camera frame.
        rays: directions per point, spread by the cosine.
        lift: metres the rays start above the surface.

    Returns:
        (N, 3) irradiance / pi and (N,) visible share of the hemisphere, float32.
    """
    step = np.arange(rays)
    square = (step + 0.5) / rays
    golden = step * np.pi * (3 - np.sqrt(5))
    local = np.stack(
        [np.sqrt(square) * np.cos(golden), np.sqrt(square) * np.sin(golden), np.sqrt(1 - square)], 1
    ).astype(np.float32)
    n = len(points)
    origins = np.empty((n * rays, 3), dtype=np.float32)
    directions = np.empty_like(origins)
    # The same pattern everywhere: neighbours then agree, where random turns would leave blotches.
    turn = np.full(n, rng.uniform(0, 2 * np.pi), np.float32)
    _hemisphere(
        np.ascontiguousarray(points, np.float32),
        np.ascontiguousarray(normals, np.float32),
        local,
        turn,
        np.float32(lift),
        origins,
        directions,
    )
    blocked = scene.blocked(origins, directions)
    light = np.empty((n, 3), dtype=np.float32)
    visible = np.empty(n, dtype=np.float32)
    _gather(
        lighting.panorama.soft,
        directions,
        blocked,
        lighting.world_from_camera,
        rays,
        light,
        visible,
    )
    return light * lighting.tint, visible


def linear_from_srgb(colour: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear 0..1."""
    colour = np.asarray(colour)
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(colour: np.ndarray) -> np.ndarray:
    """Linear 0..1 to sRGB 0..1."""
    colour = np.asarray(colour)
    return np.where(
        colour <= 0.0031308, 12.92 * colour, 1.055 * np.maximum(colour, 1e-8) ** (1 / 2.4) - 0.055
    )
