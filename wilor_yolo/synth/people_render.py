"""Render a set of pieces: one ray a pixel, four where objects meet, light per vertex.

Everything is in the camera frame: x right, y down, z forward, metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .extra import require
from .light import Lighting, irradiance, look_up
from .pieces import NO_HAND, Piece
from .raycast import Hits, RayScene, pixel_rays, vertex_normals

__all__ = ["Stage", "View", "render_view"]

njit = require("numba").njit

_NEAR = 0.04  # faces nearer to the lens are left out, metres
_EDGE = 2  # rays along each side of a pixel at outlines
_SKY_RAYS = 12
_NOISE_CELLS = 32


@dataclass(frozen=True)
class Stage:
    """All pieces of a scene as one mesh.

    Attributes:
        vertices, normals, rest, albedo: (V, 3). faces: (F, 3).
        material: (F,) row of `materials` (M, 12).
        hand: (F,) number of the hand in the scene, `NO_HAND` for the rest.
        rays: the mesh for rays.
    """

    vertices: np.ndarray
    normals: np.ndarray
    rest: np.ndarray
    albedo: np.ndarray
    faces: np.ndarray
    material: np.ndarray
    materials: np.ndarray
    hand: np.ndarray
    rays: RayScene

    @classmethod
    def of(cls, pieces: list[Piece]) -> Stage:
        """Join pieces; faces that reach behind the lens are dropped."""
        vertices, normals, rest, albedo, faces, material, hand = [], [], [], [], [], [], []
        start = 0
        for number, piece in enumerate(pieces):
            near = piece.vertices[piece.faces, 2].min(1) < _NEAR
            kept = piece.faces[~near]
            vertices.append(piece.vertices)
            normals.append(vertex_normals(piece.vertices, piece.faces))
            rest.append(piece.rest)
            albedo.append(piece.albedo)
            faces.append(kept + start)
            material.append(np.full(len(kept), number, np.int32))
            own = np.full(len(piece.faces), NO_HAND) if piece.hand is None else piece.hand
            hand.append(own[~near].astype(np.int32))
            start += len(piece.vertices)
        all_vertices = np.concatenate(vertices).astype(np.float32)
        all_faces = np.concatenate(faces).astype(np.int32)
        return cls(
            vertices=all_vertices,
            normals=np.concatenate(normals),
            rest=np.concatenate(rest).astype(np.float32),
            albedo=np.concatenate(albedo).astype(np.float32),
            faces=all_faces,
            material=np.concatenate(material),
            materials=np.stack([piece.material.row() for piece in pieces]),
            hand=np.concatenate(hand),
            rays=RayScene(all_vertices, all_faces),
        )


@dataclass(frozen=True)
class View:
    """A rendered stage.

    Attributes:
        image: (H, W, 3) linear RGB over the background.
        hand: (H, W) number of the hand seen at each pixel's centre, `NO_HAND` elsewhere.
        depth: (H, W) metres, inf where nothing is.
    """

    image: np.ndarray
    hand: np.ndarray
    depth: np.ndarray


def render_view(
    stage: Stage,
    intrinsics: np.ndarray,
    background: np.ndarray,
    lighting: Lighting,
    rng: np.random.Generator,
) -> View:
    """Render a stage over a background (H, W, 3) of the picture's size."""
    height, width = background.shape[:2]
    rays = pixel_rays(intrinsics, (0, 0, width, height)).reshape(-1, 3)
    hits = stage.rays.nearest(np.zeros(3), rays)
    seen = hits.face >= 0
    depth = np.where(seen, hits.distance, np.inf).reshape(height, width).astype(np.float32)
    hand = np.where(seen, stage.hand[hits.face], NO_HAND).reshape(height, width)

    edge = _outlines(hits, stage, height, width)
    fine_rays = _split(rays, edge, intrinsics)
    fine = stage.rays.nearest(np.zeros(3), fine_rays)
    inner = seen & ~edge.ravel()
    every = Hits(
        *(
            np.concatenate([getattr(hits, name)[inner], getattr(fine, name)[fine.face >= 0]])
            for name in ("face", "u", "v", "distance")
        )
    )
    directions = np.concatenate([rays[inner], fine_rays[fine.face >= 0]])
    radiance = _light_samples(stage, every, directions, lighting, rng)

    image = background.reshape(-1, 3).astype(np.float32).copy()
    count = int(inner.sum())
    image[inner] = radiance[:count]
    parts = np.zeros((len(fine_rays), 3), np.float32)
    parts[fine.face >= 0] = radiance[count:]
    n = _EDGE * _EDGE
    cover = (fine.face >= 0).reshape(-1, n).mean(1)[:, None]
    image[edge.ravel()] = parts.reshape(-1, n, 3).mean(1) + (1 - cover) * image[edge.ravel()]
    return View(image.reshape(height, width, 3), hand, depth)


def _outlines(hits: Hits, stage: Stage, height: int, width: int) -> np.ndarray:
    """(H, W) bool: pixels beside another material, another hand or a jump in depth."""
    kind = np.where(hits.face >= 0, stage.material[hits.face] * 3 + stage.hand[hits.face] + 1, -1)
    kind = kind.reshape(height, width)
    depth = np.where(hits.face >= 0, hits.distance, 1e3).reshape(height, width)
    edge = np.zeros((height, width), bool)
    for ahead, behind in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
    ):
        jump = np.abs(depth[ahead] - depth[behind]) > 0.02 * np.minimum(depth[ahead], depth[behind])
        differs = (kind[ahead] != kind[behind]) | jump
        edge[ahead] |= differs
        edge[behind] |= differs
    return edge


def _split(rays: np.ndarray, edge: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Rays through a grid inside each outline pixel, (E * n * n, 3)."""
    step = (np.arange(_EDGE) + 0.5) / _EDGE - 0.5
    dy, dx = np.meshgrid(step / intrinsics[1, 1], step / intrinsics[0, 0], indexing="ij")
    offsets = np.stack([dx.ravel(), dy.ravel(), np.zeros(_EDGE * _EDGE)], 1).astype(np.float32)
    return (rays[edge.ravel()][:, None] + offsets).reshape(-1, 3)


@njit(cache=True, fastmath=True)
def _gather_samples(
    face,
    u,
    v,
    distance,
    directions,
    faces,
    normals,
    rest,
    albedo,
    light,
    out_point,
    out_normal,
    out_rest,
    out_albedo,
    out_light,
):
    for i in range(face.shape[0]):
        a, b, c = faces[face[i], 0], faces[face[i], 1], faces[face[i], 2]
        p, q = u[i], v[i]
        w = 1.0 - p - q
        for k in range(3):
            out_point[i, k] = directions[i, k] * distance[i]
            out_rest[i, k] = w * rest[a, k] + p * rest[b, k] + q * rest[c, k]
            out_albedo[i, k] = w * albedo[a, k] + p * albedo[b, k] + q * albedo[c, k]
            out_light[i, k] = w * light[a, k] + p * light[b, k] + q * light[c, k]
            out_normal[i, k] = w * normals[a, k] + p * normals[b, k] + q * normals[c, k]
        x, y, z = out_normal[i, 0], out_normal[i, 1], out_normal[i, 2]
        size = np.sqrt(x * x + y * y + z * z) + 1e-9
        towards = x * directions[i, 0] + y * directions[i, 1] + z * directions[i, 2]
        if towards > 0.25 * size:  # the back of a sheet, not just the rim of a round thing
            size = -size
        for k in range(3):
            out_normal[i, k] /= size


@njit(cache=True, fastmath=True)
def _noise(volume, x, y, z):
    """Smooth periodic noise at a point given in cells."""
    n = volume.shape[0]
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    a, b, c = x - fx, y - fy, z - fz
    i, j, k = int(fx) % n, int(fy) % n, int(fz) % n
    i1, j1, k1 = (i + 1) % n, (j + 1) % n, (k + 1) % n
    low = (volume[i, j, k] * (1 - a) + volume[i1, j, k] * a) * (1 - b) + (
        volume[i, j1, k] * (1 - a) + volume[i1, j1, k] * a
    ) * b
    high = (volume[i, j, k1] * (1 - a) + volume[i1, j, k1] * a) * (1 - b) + (
        volume[i, j1, k1] * (1 - a) + volume[i1, j1, k1] * a
    ) * b
    return low * (1 - c) + high * c


@njit(cache=True, fastmath=True)
def _shade_samples(
    material,
    rows,
    volume,
    rest,
    albedo,
    normals,
    directions,
    light,
    mirror,
    lit,
    key,
    key_light,
    out,
):
    for i in range(rest.shape[0]):
        row = rows[material[i]]
        x, y, z = rest[i, 0], rest[i, 1], rest[i, 2]
        size = row[4]
        along = (x * row[5] + y * row[6] + z * row[7]) / size
        mix = 0.0
        kind = int(row[0])
        if kind == 1:
            mix = 1.0 if along - np.floor(along) < 0.45 else 0.0
        elif kind == 2:
            parity = np.floor(x / size) + np.floor(y / size) + np.floor(z / size)
            mix = parity - 2 * np.floor(parity / 2)
        elif kind == 3:
            mix = 1.0 if _noise(volume, 2 * x / size, 2 * y / size, 2 * z / size) > 0.7 else 0.0
        elif kind == 4:
            p, q = x / size, z / size
            mix = 0.5 * (p - np.floor(p) < 0.35) + 0.5 * (q - np.floor(q) < 0.35)
        elif kind == 5:
            wave = _noise(volume, 3 * x / size, 0.25 * y / size, 3 * z / size)
            mix = min(1.0, max(0.0, 0.5 + 0.4 * wave))
        cells = 1.0 / row[9]
        fine = 1.0 + row[8] * (
            _noise(volume, x * cells, y * cells, z * cells)
            + 0.6 * _noise(volume, x * cells * 0.23, y * cells * 0.23, z * cells * 0.23)
        )
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        dx, dy, dz = directions[i, 0], directions[i, 1], directions[i, 2]
        scale = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
        facing = max(0.0, -(nx * dx + ny * dy + nz * dz) * scale)
        cosine = nx * key[0] + ny * key[1] + nz * key[2]
        gloss = row[10]
        spot = 0.0
        if gloss > 0.0 and cosine > 0.0:
            hx, hy, hz = key[0] - dx * scale, key[1] - dy * scale, key[2] - dz * scale
            half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
            power = 12.0 + 120.0 * gloss * gloss
            spot = 0.02 * (power + 2.0) * gloss * max(0.0, half) ** power * cosine * lit[i]
        sheen = gloss * (0.03 + 0.25 * (1.0 - facing) ** 5)
        for k in range(3):
            colour = (albedo[i, k] * (1 - mix) + row[1 + k] * mix) * max(0.1, fine)
            value = colour * (light[i, k] + key_light[k] * max(0.0, cosine) * lit[i])
            out[i, k] = value + key_light[k] * spot + sheen * mirror[i, k]


def _light_samples(
    stage: Stage, hits: Hits, directions: np.ndarray, lighting: Lighting, rng: np.random.Generator
) -> np.ndarray:
    """Radiance (N, 3) of samples."""
    used = np.zeros(len(stage.vertices), bool)
    used[stage.faces[np.unique(hits.face)]] = True
    chosen = np.flatnonzero(used)
    light = np.zeros_like(stage.vertices)
    around, open_sky = irradiance(
        lighting,
        stage.rays,
        stage.vertices[chosen],
        stage.normals[chosen],
        rng,
        rays=_SKY_RAYS,
        lift=2e-3,
    )
    # Light that bounced once: dimmer and greyer than the open sky.
    bounce = 0.22 * around.mean(0) * (1 - open_sky)[:, None] if len(chosen) else 0.0
    light[chosen] = around + bounce
    n = len(hits.face)
    point, normal, rest, albedo, own = (np.empty((n, 3), np.float32) for _ in range(5))
    _gather_samples(
        hits.face, hits.u, hits.v, hits.distance, directions, stage.faces, stage.normals,
        stage.rest, stage.albedo, light, point, normal, rest, albedo, own,
    )  # fmt: skip
    lit = np.zeros(n, np.float32)
    if lighting.key_radiance.any():
        facing = np.flatnonzero(normal @ lighting.key_direction > 0)
        to_key = rng.standard_normal((len(facing), 3), dtype=np.float32) * lighting.key_size
        to_key += lighting.key_direction
        blocked = stage.rays.blocked(point[facing] + 3e-3 * normal[facing], to_key)
        lit[facing] = ~blocked
    material = stage.material[hits.face]
    glossy = np.flatnonzero(stage.materials[material, 10] > 0.3)
    mirror = np.repeat(own.mean(0, keepdims=True), n, 0) if n else own
    if len(glossy):
        view = directions[glossy]
        flip = 2 * (view * normal[glossy]).sum(1, keepdims=True) * normal[glossy]
        mirror[glossy] = look_up(lighting.panorama.soft, view - flip, lighting.world_from_camera)
    out = np.empty((n, 3), np.float32)
    _shade_samples(
        material, stage.materials, _volume(), rest, albedo, normal, directions, own, mirror, lit,
        lighting.key_direction, lighting.key_radiance, out,
    )  # fmt: skip
    return out


@lru_cache(maxsize=1)
def _volume() -> np.ndarray:
    """White noise of deviation 1 on a periodic grid; the same in every process."""
    return np.random.default_rng(20).standard_normal((_NOISE_CELLS,) * 3).astype(np.float32)
