"""Rays against triangle meshes (Intel Embree), and the small mesh kernels that go with them.

Everything lies in the camera frame: x right, y down, z forward, metres, the eye at the origin.
Pixel (0, 0) is the centre of the top left pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .extra import require

__all__ = ["Hits", "RayScene", "interpolate", "pixel_rays", "vertex_normals"]

njit = require("numba").njit


@dataclass(frozen=True)
class Hits:
    """Where N rays first meet a mesh.

    Attributes:
        face: (N,) int32, -1 where a ray meets nothing.
        u, v: (N,) barycentric weights of the face's second and third corner.
        distance: (N,) in lengths of the ray's direction; with :func:`pixel_rays` the depth z.
    """

    face: np.ndarray
    u: np.ndarray
    v: np.ndarray
    distance: np.ndarray


class RayScene:
    """A triangle mesh that answers rays.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3) integers.

    Raises:
        HandError: `embreex` is not installed.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        embree = require("embreex.rtcore_scene")
        construction = require("embreex.mesh_construction")
        self._scene = embree.EmbreeScene()
        # Embree keeps a reference only: the mesh object has to live as long as the scene.
        self._mesh = construction.TriangleMesh(
            self._scene,
            np.ascontiguousarray(vertices, dtype=np.float32),
            np.ascontiguousarray(faces, dtype=np.int32),
        )

    def nearest(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """First hit of N rays; origins (N, 3) or one (3,), directions (N, 3) of any length."""
        origins, directions = _ray_arrays(origins, directions)
        found = self._scene.run(origins, directions, query="INTERSECT", output=1)
        return Hits(found["primID"], found["u"], found["v"], found["tfar"])

    def blocked(
        self, origins: np.ndarray, directions: np.ndarray, reach: float | None = None
    ) -> np.ndarray:
        """(N,) bool: does anything lie on the ray, within `reach` lengths of its direction?"""
        origins, directions = _ray_arrays(origins, directions)
        if reach is None:
            return self._scene.run(origins, directions, query="OCCLUDED") >= 0
        limits = np.full(len(directions), reach, dtype=np.float32)
        return self._scene.run(origins, directions, limits, query="OCCLUDED") >= 0


def _ray_arrays(origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    directions = np.ascontiguousarray(directions, dtype=np.float32)
    origins = np.broadcast_to(np.asarray(origins, dtype=np.float32), directions.shape)
    return np.ascontiguousarray(origins), directions


def pixel_rays(
    intrinsics: np.ndarray, window: tuple[int, int, int, int], supersample: int = 1
) -> np.ndarray:
    """Directions of the rays through a window of the picture.

    Args:
        intrinsics: K (3, 3) px.
        window: x0, y0, x1, y1 in pixels, end exclusive.
        supersample: rays along each side of a pixel.

    Returns:
        ((y1 - y0) * supersample, (x1 - x0) * supersample, 3) float32 with z = 1, so that the
        distance of a hit is its depth.
    """
    x0, y0, x1, y1 = window
    n = supersample
    # Sub-pixel centres: -0.25 and +0.25 around the pixel's centre for two, and so on.
    x = x0 - 0.5 + (np.arange((x1 - x0) * n) + 0.5) / n
    y = y0 - 0.5 + (np.arange((y1 - y0) * n) + 0.5) / n
    rays = np.ones((len(y), len(x), 3), dtype=np.float32)
    rays[..., 0] = (x - intrinsics[0, 2]) / intrinsics[0, 0]
    rays[..., 1] = ((y - intrinsics[1, 2]) / intrinsics[1, 1])[:, None]
    return rays


@njit(cache=True)
def _add_face_normals(vertices, faces, normals):
    for i in range(faces.shape[0]):
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        wx = vertices[c, 0] - vertices[a, 0]
        wy = vertices[c, 1] - vertices[a, 1]
        wz = vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for k in range(3):
            j = faces[i, k]
            normals[j, 0] += nx
            normals[j, 1] += ny
            normals[j, 2] += nz
    for j in range(normals.shape[0]):
        length = np.sqrt(normals[j, 0] ** 2 + normals[j, 1] ** 2 + normals[j, 2] ** 2)
        if length < 1e-20:  # a vertex of no face, or of a face without area
            normals[j, 0], normals[j, 1], normals[j, 2] = 0.0, 0.0, -1.0
        else:
            for k in range(3):
                normals[j, k] /= length


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Outward unit normals (V, 3) float32, area weighted, of vertices (V, 3) and faces (F, 3)."""
    normals = np.zeros((len(vertices), 3), dtype=np.float64)
    _add_face_normals(np.asarray(vertices, dtype=np.float64), np.asarray(faces), normals)
    return normals.astype(np.float32)


@njit(cache=True, fastmath=True)
def _interpolate(values, faces, face, u, v, out):
    for i in range(face.shape[0]):
        a, b, c = faces[face[i], 0], faces[face[i], 1], faces[face[i], 2]
        w = 1.0 - u[i] - v[i]
        for k in range(values.shape[1]):
            out[i, k] = w * values[a, k] + u[i] * values[b, k] + v[i] * values[c, k]


def interpolate(
    values: np.ndarray, faces: np.ndarray, face: np.ndarray, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Vertex values (V, C) at N points inside faces: (N, C) float32.

    `face`, `u`, `v` are those of :class:`Hits`, hits only (no -1).
    """
    values = np.ascontiguousarray(values, dtype=np.float32)
    out = np.empty((len(face), values.shape[1]), dtype=np.float32)
    _interpolate(values, faces, face, u, v, out)
    return out
