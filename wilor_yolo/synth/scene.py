"""A scene of parts (hands, sleeves, objects, table) to radiance with a matte.

One ray a pixel, four where outlines run; vertex irradiance with occlusion between all parts;
a ray-traced key shadow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .light import Lighting, irradiance
from .raycast import Hits, RayScene, interpolate, pixel_rays, vertex_normals
from .shading import Surface, key_shadow, shade

__all__ = ["Material", "Part", "Points", "Rendered", "render_scene"]

_NEAR = 0.02  # metres; vertices closer to the eye than this make the window the whole picture


@dataclass(frozen=True)
class Points:
    """N surface samples of one part.

    Attributes:
        rest: (N, 3) where on the unposed part, metres.
        face: (N,) face of the part; `u`, `v` (N,) weights of its second and third corner.
        footprint: (N,) metres of surface that one pixel covers.
    """

    rest: np.ndarray
    face: np.ndarray
    u: np.ndarray
    v: np.ndarray
    footprint: np.ndarray


class Material(Protocol):
    """What a part is made of."""

    @property
    def bounce(self) -> np.ndarray:
        """(3,) mean albedo: light that blocked directions send back."""

    def surface(self, points: Points) -> Surface:
        """The surface at the given samples."""

    def spread_light(self, light: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Light at all vertices (V, C) from light at the probes (P, C), `known` (P,) bool."""


@dataclass(frozen=True)
class Part:
    """One object of the scene.

    Attributes:
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3).
        rest: (V, 3) metres, the unposed part, for its texture.
        material: its looks.
        probes: light is measured at the first `probes` vertices only; None: at all.
    """

    vertices: np.ndarray
    faces: np.ndarray
    rest: np.ndarray
    material: Material
    probes: int | None = None


@dataclass(frozen=True)
class Rendered:
    """Radiance (H, W, 3) multiplied by `alpha` (H, W), the part seen at each pixel's centre
    (H, W) int (-1 none) and its depth (H, W) metres (inf: none)."""

    radiance: np.ndarray
    alpha: np.ndarray
    part: np.ndarray
    depth: np.ndarray
    scene: RayScene
    faces_end: np.ndarray

    def seen_along(self, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What rays (N, 3) from the eye meet: part (-1 none), face of that part, distance, (N,)."""
        hits = self.scene.nearest(np.zeros(3), directions)
        part = np.searchsorted(self.faces_end, hits.face, side="right")
        first = np.concatenate([[0], self.faces_end])[np.minimum(part, len(self.faces_end) - 1)]
        return np.where(hits.face < 0, -1, part), hits.face - first, hits.distance


def render_scene(
    parts: list[Part],
    intrinsics: np.ndarray,
    size: tuple[int, int],
    lighting: Lighting,
    rng: np.random.Generator,
    rays: int = 24,
) -> Rendered:
    """Render.

    Args:
        intrinsics: K (3, 3) px.
        size: width, height.
        rays: occlusion rays per vertex.
    """
    width, height = size
    faces_end = np.cumsum([len(p.faces) for p in parts])
    starts = np.cumsum([0, *(len(p.vertices) for p in parts)])
    vertices = np.concatenate([p.vertices for p in parts]).astype(np.float32)
    faces = np.concatenate([p.faces + s for p, s in zip(parts, starts[:-1], strict=True)])
    scene = RayScene(vertices, faces)
    normals = vertex_normals(vertices, faces)
    window = _window(vertices, intrinsics, width, height)
    radiance = np.zeros((height, width, 3), np.float32)
    alpha = np.zeros((height, width), np.float32)
    seen = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), np.inf, np.float32)
    result = Rendered(radiance, alpha, seen, depth, scene, faces_end)
    if window is None:
        return result
    x0, y0, x1, y1 = window

    rays_centre = pixel_rays(intrinsics, window)
    shape = rays_centre.shape[:2]
    first = scene.nearest(np.zeros(3), rays_centre.reshape(-1, 3))
    hit = (first.face >= 0).reshape(shape)
    part_seen = np.where(
        hit, np.searchsorted(faces_end, first.face, side="right").reshape(shape), -1
    )
    distance = np.where(hit, first.distance.reshape(shape), np.float32(1e3))
    seen[y0:y1, x0:x1] = part_seen
    depth[y0:y1, x0:x1] = np.where(hit, distance, np.inf)

    edge = _outlines(part_seen, distance)
    fine = pixel_rays(intrinsics, window, 2).reshape(shape[0], 2, shape[1], 2, 3)
    fine = fine.transpose(0, 2, 1, 3, 4)[edge].reshape(-1, 3)
    pixel = np.arange(edge.size).reshape(shape)
    inner = (hit & ~edge).reshape(-1)
    second = scene.nearest(np.zeros(3), fine) if len(fine) else None
    fine_pixel = np.repeat(pixel[edge], 4)
    directions, pixels, found = [rays_centre.reshape(-1, 3)[inner]], [pixel.reshape(-1)[inner]], []
    found.append(_chosen(first, inner))
    weight = [np.ones(len(pixels[0]), np.float32)]
    if second is not None:
        met = second.face >= 0
        directions.append(fine[met])
        pixels.append(fine_pixel[met])
        found.append(_chosen(second, met))
        weight.append(np.full(int(met.sum()), 0.25, np.float32))
    hits = Hits(
        *(np.concatenate([getattr(h, f) for h in found]) for f in ("face", "u", "v", "distance"))
    )
    direction = np.concatenate(directions)
    where, share = np.concatenate(pixels), np.concatenate(weight)
    if not len(where):
        return result

    light = _vertex_light(parts, starts, vertices, normals, scene, lighting, rng, rays)
    colour = _shade_hits(
        parts, faces, faces_end, hits, direction, normals, light, scene, lighting,
        rng, float(intrinsics[0, 0]), len(pixels[0]),
    )  # fmt: skip
    tile = np.stack(
        [np.bincount(where, colour[:, k] * share, minlength=edge.size) for k in range(3)], -1
    )
    radiance[y0:y1, x0:x1] = tile.reshape(*shape, 3)
    alpha[y0:y1, x0:x1] = np.bincount(where, share, minlength=edge.size).reshape(shape)
    return result


def _chosen(hits: Hits, chosen: np.ndarray) -> Hits:
    return Hits(hits.face[chosen], hits.u[chosen], hits.v[chosen], hits.distance[chosen])


def _window(
    vertices: np.ndarray, intrinsics: np.ndarray, width: int, height: int
) -> tuple[int, int, int, int] | None:
    """Pixels the scene can cover; None when it lies outside the picture."""
    z = vertices[:, 2]
    if (z < _NEAR).any():
        return 0, 0, width, height
    x = vertices[:, 0] / z * intrinsics[0, 0] + intrinsics[0, 2]
    y = vertices[:, 1] / z * intrinsics[1, 1] + intrinsics[1, 2]
    x0, y0 = max(0, int(np.floor(x.min())) - 1), max(0, int(np.floor(y.min())) - 1)
    x1, y1 = min(width, int(np.ceil(x.max())) + 2), min(height, int(np.ceil(y.max())) + 2)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _outlines(part: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Pixels where the part changes or the depth jumps, and their neighbours across."""
    edge = np.zeros(part.shape, bool)
    # A jump in depth stands out from the slope on both sides: compare second differences.
    for axis in (0, 1):
        a = np.moveaxis(part, axis, 0)
        z = np.moveaxis(distance, axis, 0)
        e = np.moveaxis(edge, axis, 0)
        step = np.abs(np.diff(z, axis=0))
        jump = (np.diff(a, axis=0) != 0) | (step > 0.0045 + 0.004 * z[1:])
        e[1:] |= jump
        e[:-1] |= jump
    return edge


def _vertex_light(
    parts: list[Part],
    starts: np.ndarray,
    vertices: np.ndarray,
    normals: np.ndarray,
    scene: RayScene,
    lighting: Lighting,
    rng: np.random.Generator,
    rays: int,
) -> np.ndarray:
    """(V, 4) irradiance / pi and open share of the hemisphere at all vertices."""
    # Probes turned away from the eye are not seen: their light is left out.
    eye = vertices / (np.linalg.norm(vertices, axis=1, keepdims=True) + 1e-9)
    towards = (normals * eye).sum(1) < 0.35
    chosen = []
    for part, start in zip(parts, starts[:-1], strict=True):
        count = len(part.vertices) if part.probes is None else part.probes
        chosen.append(start + np.flatnonzero(towards[start : start + count]))
    index = np.concatenate(chosen)
    light, open_sky = irradiance(lighting, scene, vertices[index], normals[index], rng, rays)
    probed = np.zeros((len(vertices), 4), np.float32)
    probed[index, :3], probed[index, 3] = light, open_sky
    mean = light.mean(0) if len(light) else np.ones(3, np.float32)
    known = np.zeros(len(vertices), bool)
    known[index] = True
    for part, start in zip(parts, starts[:-1], strict=True):
        count = len(part.vertices) if part.probes is None else part.probes
        span = slice(start, start + count)
        probed[span, :3] += (1 - probed[span, 3:]) * part.material.bounce * mean * known[span, None]
        whole = slice(start, start + len(part.vertices))
        probed[whole] = part.material.spread_light(probed[span], known[span])
    return probed


def _shade_hits(
    parts: list[Part],
    faces: np.ndarray,
    faces_end: np.ndarray,
    hits: Hits,
    direction: np.ndarray,
    normals: np.ndarray,
    light: np.ndarray,
    scene: RayScene,
    lighting: Lighting,
    rng: np.random.Generator,
    focal: float,
    whole: int,
) -> np.ndarray:
    smooth = interpolate(np.concatenate([normals, light], 1), faces, hits.face, hits.u, hits.v)
    normal = smooth[:, :3]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    view = -direction / np.linalg.norm(direction, axis=1, keepdims=True)
    inside = (normal * view).sum(1) < -0.15  # the inner side of a sleeve or cup
    normal[inside] *= -1
    smooth[inside, 3:6] *= 0.4
    points = direction * hits.distance[:, None]
    footprint = hits.distance / focal
    which = np.searchsorted(faces_end, hits.face, side="right")
    n = len(which)
    surface = Surface.matt(np.zeros((n, 3), np.float32))
    for i, part in enumerate(parts):
        mine = np.flatnonzero(which == i)
        if not len(mine):
            continue
        face = hits.face[mine] - (faces_end[i] - len(part.faces))
        u, v = hits.u[mine], hits.v[mine]
        rest = interpolate(part.rest, part.faces, face, u, v)
        own = part.material.surface(Points(rest, face, u, v, footprint[mine]))
        for name in ("albedo", "relief", "reflectance", "roughness", "coat", "wrap"):
            getattr(surface, name)[mine] = getattr(own, name)
    # An outline's pixel has four samples: one ray each is as good as the others' four.
    lit = np.concatenate(
        [
            key_shadow(lighting, scene, points[:whole], normal[:whole], rng, rays=4),
            key_shadow(lighting, scene, points[whole:], normal[whole:], rng, rays=1),
        ]
    )
    return shade(lighting, surface, normal, view, smooth[:, 3:6], smooth[:, 6], lit)
