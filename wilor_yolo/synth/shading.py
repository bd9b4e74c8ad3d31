"""Surface samples to radiance: diffuse with a soft terminator, glossy, coated.

The diffuse light of the surroundings comes per vertex (`light.irradiance`); here the fine relief,
the key light and the reflections are added. One pass over all samples in compiled code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .extra import require
from .light import Lighting, bilinear_panorama
from .raycast import RayScene

__all__ = ["Surface", "key_shadow", "shade"]

njit = require("numba").njit


@dataclass
class Surface:
    """What N samples of a surface are made of.

    Attributes:
        albedo: (N, 3) linear RGB.
        relief: (N, 2) slope of the fine relief along two tangents, about +-0.3.
        reflectance: (N,) mirror reflectance straight on: skin 0.028, matt cloth 0.
        roughness: (N,) 0.1 (lacquer) to 0.9.
        coat: (N,) 0..1: reflects the surroundings sharply (nails, glaze, metal).
        wrap: (N, 3) how far light creeps around into the shade, per colour; skin mostly red.
    """

    albedo: np.ndarray
    relief: np.ndarray
    reflectance: np.ndarray
    roughness: np.ndarray
    coat: np.ndarray
    wrap: np.ndarray

    @classmethod
    def matt(cls, albedo: np.ndarray, roughness: float = 0.9, reflectance: float = 0.0) -> Surface:
        """A plain surface of the given (N, 3) albedo."""
        n = len(albedo)
        return cls(
            albedo=np.ascontiguousarray(albedo, np.float32),
            relief=np.zeros((n, 2), np.float32),
            reflectance=np.full(n, reflectance, np.float32),
            roughness=np.full(n, roughness, np.float32),
            coat=np.zeros(n, np.float32),
            wrap=np.full((n, 3), 0.03, np.float32),
        )


@njit(cache=True, fastmath=True)
def _shade(
    normals,
    views,
    light,
    open_sky,
    lit,
    albedo,
    relief,
    reflectance,
    roughness,
    coat,
    wrap,
    soft,
    glossy,
    diffuse_map,
    rotation,
    tint,
    key,
    key_radiance,
    out,
):
    keyed = key_radiance[0] + key_radiance[1] + key_radiance[2] > 0
    bumped_light = np.empty(3, np.float32)
    flat_light = np.empty(3, np.float32)
    mirror = np.zeros(3, np.float32)  # of matt samples it is multiplied by 0: never garbage
    sharp = np.empty(3, np.float32)
    for i in range(normals.shape[0]):
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        vx, vy, vz = views[i, 0], views[i, 1], views[i, 2]
        # Two tangents and the normal of the relief.
        tx, ty, tz = ny * 0.81 - nz * 0.5, nz * 0.3 - nx * 0.81, nx * 0.5 - ny * 0.3
        scale = 1.0 / np.sqrt(tx * tx + ty * ty + tz * tz + 1e-12)
        tx, ty, tz = tx * scale, ty * scale, tz * scale
        bx, by, bz = ny * tz - nz * ty, nz * tx - nx * tz, nx * ty - ny * tx
        p, q = relief[i, 0], relief[i, 1]
        mx, my, mz = nx + p * tx + q * bx, ny + p * ty + q * by, nz + p * tz + q * bz
        scale = 1.0 / np.sqrt(mx * mx + my * my + mz * mz)
        mx, my, mz = mx * scale, my * scale, mz * scale
        facing = mx * vx + my * vy + mz * vz

        if p != 0.0 or q != 0.0:
            _towards(diffuse_map, rotation, mx, my, mz, bumped_light)
            _towards(diffuse_map, rotation, nx, ny, nz, flat_light)
        else:
            for k in range(3):
                bumped_light[k] = 1.0
                flat_light[k] = 1.0
        grazing = min(1.0, max(0.0, 1.0 - facing))
        fresnel = reflectance[i] + 0.16 * (1 - roughness[i]) * grazing**5
        if reflectance[i] > 0.0:
            rx, ry, rz = 2 * facing * mx - vx, 2 * facing * my - vy, 2 * facing * mz - vz
            _towards(soft, rotation, rx, ry, rz, mirror)
            if coat[i] > 0.0:
                _towards(glossy, rotation, rx, ry, rz, sharp)
                for k in range(3):
                    mirror[k] = mirror[k] * (1 - coat[i]) + 2.2 * sharp[k] * coat[i]
            seen = fresnel * min(1.0, max(0.0, 1.5 * open_sky[i] - 0.4))
        else:
            seen = 0.0
        lamp = 0.0
        cosine = 0.0
        if keyed:
            cosine = mx * key[0] + my * key[1] + mz * key[2]
            hx, hy, hz = key[0] + vx, key[1] + vy, key[2] + vz
            scale = 1.0 / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
            half = max(0.0, (mx * hx + my * hy + mz * hz) * scale)
            toward = min(1.0, max(0.0, 1.0 - (hx * vx + hy * vy + hz * vz) * scale))
            a = roughness[i] ** 2
            a2 = max(a * a, 1e-4)
            spread = half * half * (a2 - 1) + 1
            spot = a2 / (np.pi * spread * spread)
            gleam = reflectance[i] + (1 - reflectance[i]) * toward**5
            if reflectance[i] > 0.0:
                lamp = spot * gleam * 0.8 * max(0.0, cosine) * lit[i]
        for k in range(3):
            ratio = (bumped_light[k] + 0.05) / (flat_light[k] + 0.05)
            ratio = min(1.6, max(0.6, ratio))
            value = albedo[i, k] * light[i, k] * ratio
            if keyed:
                w = wrap[i, k]
                diffuse = min(1.0, max(0.0, (cosine + w) / (1 + w)))
                # Behind the terminator the shadow ray is blocked by the surface itself.
                through = lit[i] if cosine > 0 else max(lit[i], 0.6 * w)
                value += key_radiance[k] * (albedo[i, k] * diffuse * through + lamp)
            out[i, k] = value + seen * mirror[k] * tint[k]


@njit(cache=True, fastmath=True, inline="always")
def _towards(picture, rotation, dx, dy, dz, out):
    x = rotation[0, 0] * dx + rotation[0, 1] * dy + rotation[0, 2] * dz
    y = rotation[1, 0] * dx + rotation[1, 1] * dy + rotation[1, 2] * dz
    z = rotation[2, 0] * dx + rotation[2, 1] * dy + rotation[2, 2] * dz
    bilinear_panorama(picture, x, y, z, out)


def shade(
    lighting: Lighting,
    surface: Surface,
    normals: np.ndarray,
    views: np.ndarray,
    light: np.ndarray,
    open_sky: np.ndarray,
    lit: np.ndarray,
) -> np.ndarray:
    """Radiance (N, 3) float32 of N samples.

    Args:
        normals, views: (N, 3) unit vectors, outward and to the eye.
        light: (N, 3) irradiance / pi of the surroundings.
        open_sky: (N,) visible share of the hemisphere.
        lit: (N,) share of the key light that arrives.
    """
    out = np.empty((len(normals), 3), np.float32)
    f32 = np.float32
    _shade(
        np.ascontiguousarray(normals, f32), np.ascontiguousarray(views, f32),
        np.ascontiguousarray(light, f32), np.ascontiguousarray(open_sky, f32),
        np.ascontiguousarray(lit, f32), surface.albedo.astype(f32, copy=False),
        surface.relief.astype(f32, copy=False), surface.reflectance.astype(f32, copy=False),
        surface.roughness.astype(f32, copy=False), surface.coat.astype(f32, copy=False),
        surface.wrap.astype(f32, copy=False), lighting.panorama.soft, lighting.panorama.glossy,
        lighting.panorama.diffuse,
        lighting.world_from_camera, lighting.tint, lighting.key_direction, lighting.key_radiance,
        out,
    )  # fmt: skip
    return out


def key_shadow(
    lighting: Lighting,
    scene: RayScene,
    points: np.ndarray,
    normals: np.ndarray,
    rng: np.random.Generator,
    rays: int = 4,
) -> np.ndarray:
    """(N,) share of the key light that reaches points (N, 3) with unit normals (N, 3)."""
    lit = np.zeros(len(points), np.float32)
    if not lighting.key_radiance.any():
        return lit
    facing = np.flatnonzero(normals @ lighting.key_direction > -0.02)
    if not len(facing):
        return lit
    start = (points[facing] + 6e-4 * normals[facing]).astype(np.float32)
    scatter = rng.standard_normal((len(facing) * rays, 3), dtype=np.float32)
    rays_to_key = lighting.key_direction + lighting.key_size * scatter
    blocked = scene.blocked(np.repeat(start, rays, axis=0), rays_to_key)
    lit[facing] = 1 - blocked.reshape(-1, rays).mean(1)
    return lit
