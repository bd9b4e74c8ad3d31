"""Small meshes: boxes, turned bodies (bottles, balls, cups), tubes, sheets.

Each returns `Mesh`, metres, around the origin. Vertices are doubled along sharp edges so that
smooth vertex normals are right on both sides. Faces are wound counter-clockwise seen from outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Mesh", "box", "lathe", "sheet", "tube"]


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3) float64 metres and faces (F, 3) int32."""

    vertices: np.ndarray
    faces: np.ndarray

    def moved(self, rotation: np.ndarray, place: np.ndarray) -> Mesh:
        """Turned by (3, 3), then shifted by (3,)."""
        return Mesh(self.vertices @ np.asarray(rotation).T + place, self.faces)


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    """Triangles of a grid of (rows, columns) vertices, normal = along rows x along columns."""
    i, j = np.mgrid[: rows - 1, : columns - 1]
    a = (i * columns + j).ravel()
    b, c, d = a + columns, a + columns + 1, a + 1
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)


def sheet(width: float, height: float, cells: int = 16) -> Mesh:
    """A flat rectangle in x and y, normal +z."""
    x, y = np.meshgrid(
        np.linspace(-0.5, 0.5, cells + 1), np.linspace(-0.5, 0.5, cells + 1), indexing="ij"
    )
    points = np.stack([x.ravel() * width, y.ravel() * height, np.zeros(x.size)], 1)
    return Mesh(points, _grid_faces(cells + 1, cells + 1))


def box(size: np.ndarray, cells: int = 4) -> Mesh:
    """An upright box with sides (3,) and sharp edges."""
    size = np.asarray(size, dtype=np.float64)
    one = sheet(1.0, 1.0, cells)
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for axis in range(3):
        for sign in (1.0, -1.0):
            a, b = (axis + 1) % 3, (axis + 2) % 3
            points = np.empty_like(one.vertices)
            points[:, a] = one.vertices[:, 0] * sign
            points[:, b] = one.vertices[:, 1]
            points[:, axis] = 0.5 * sign
            faces.append(one.faces + len(one.vertices) * len(vertices))
            vertices.append(points * size)
    return Mesh(np.concatenate(vertices), np.concatenate(faces))


def lathe(profile: np.ndarray, segments: int = 28) -> Mesh:
    """A body turned about the z axis.

    Args:
        profile: (P, 2) radius and height from bottom to top; a point given twice makes an edge.
    """
    profile = np.asarray(profile, dtype=np.float64)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    rings = np.stack(
        [
            profile[:, :1] * np.cos(angle),
            profile[:, :1] * np.sin(angle),
            np.broadcast_to(profile[:, 1:], (len(profile), segments + 1)),
        ],
        -1,
    )
    faces = _grid_faces(len(profile), segments + 1)[:, ::-1]
    return Mesh(rings.reshape(-1, 3), np.ascontiguousarray(faces))


def tube(
    path: np.ndarray, radii: np.ndarray, segments: int = 16, up: np.ndarray | None = None
) -> Mesh:
    """A tube of elliptic section along a path.

    Args:
        path: (P, 3) centres of the rings.
        radii: (P, 2) half axes of each ring, along `up` (made orthogonal) and across it.
        up: (3,) direction of the first half axis.
    """
    path, radii = np.asarray(path, np.float64), np.asarray(radii, np.float64)
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0]) if up is None else np.asarray(up, np.float64)
    first = up - (along @ up)[:, None] * along
    first /= np.linalg.norm(first, axis=1, keepdims=True) + 1e-12
    second = np.cross(along, first)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    rings = (
        path[:, None]
        + first[:, None] * radii[:, None, :1] * np.cos(angle)[:, None]
        + second[:, None] * radii[:, None, 1:] * np.sin(angle)[:, None]
    )
    faces = _grid_faces(len(path), segments + 1)[:, ::-1]
    return Mesh(rings.reshape(-1, 3), np.ascontiguousarray(faces))
