"""What a renderer and an exporter need to know of a triangle mesh: normals and open holes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["face_normals", "hole_faces", "vertex_normals"]


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3) normals of triangles, twice the area long, outward for counter-clockwise faces.

    Args:
        vertices: (V, 3).
        faces: (F, 3) int.
    """
    corners = vertices[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, averaged over the faces around each vertex by their area.

    A vertex without a face, or whose faces cancel, gets a zero normal.
    """
    normals = face_normals(vertices, faces)
    summed = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(normals[:, axis], 3), minlength=len(vertices))
            for axis in range(3)
        ],
        axis=-1,
    )
    length = np.linalg.norm(summed, axis=-1, keepdims=True)
    return np.divide(summed, length, out=np.zeros_like(summed), where=length > 0)


def hole_faces(faces: np.ndarray) -> np.ndarray:
    """Faces that close the holes of a mesh, such as the wrist of a MANO hand.

    Each closed rim becomes a fan, wound like its neighbours. The fan starts at a rim vertex whose
    diagonals are not edges of the mesh already, so that the result stays a manifold.

    Args:
        faces: (F, 3) int, consistently wound.

    Returns:
        (C, 3) int, C = 0 for a closed mesh; 14 for a MANO hand, whose rim has 16 vertices.
    """
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    return np.array(_hole_faces(faces.tobytes()), dtype=np.int64).reshape(-1, 3)


@lru_cache(maxsize=32)
def _hole_faces(faces_bytes: bytes) -> tuple[tuple[int, int, int], ...]:
    faces = np.frombuffer(faces_bytes, dtype=np.int64).reshape(-1, 3)
    directed = {
        (int(a), int(b)) for a, b in np.concatenate([faces[:, [i, i - 2]] for i in range(3)])
    }
    # A rim edge has a face on one side only; the closing face walks it the other way round.
    following = {b: a for a, b in directed if (b, a) not in directed}
    caps: list[tuple[int, int, int]] = []
    while following:
        start = next(iter(following))
        rim = [start]
        while (vertex := following.pop(rim[-1], start)) != start:
            rim.append(vertex)
        caps += _fan(rim, directed)
    return tuple(caps)


def _fan(rim: list[int], edges: set[tuple[int, int]]) -> list[tuple[int, int, int]]:
    if len(rim) < 3:
        return []

    def clashes(start: int) -> int:
        turned = rim[start:] + rim[:start]
        return sum((turned[0], v) in edges or (v, turned[0]) in edges for v in turned[2:-1])

    start = min(range(len(rim)), key=clashes)
    turned = rim[start:] + rim[:start]
    return [(turned[0], turned[i], turned[i + 1]) for i in range(1, len(turned) - 1)]
