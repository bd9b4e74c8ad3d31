"""Draw lit meshes over a picture: smooth shading, right depth between meshes, soft edges.

Every pixel is looked at in four samples. Pixels that one smooth surface fills are lit once; the
others, on outlines and where a finger passes in front of the palm, once for each sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import HandError
from .light import GRID, paint_table, towards_camera
from .rasterise import NEAR, Triangles, Visible, join_meshes, visible_faces
from .surface import face_normals, hole_faces, vertex_normals

__all__ = ["draw_meshes", "render_overlay"]

_SAMPLES = 2  # along each axis of a pixel
# Samples looked at in one go: a band of rows of a large picture. Bounds the memory.
_BAND_SAMPLES = 2_000_000
# Two samples of a pixel whose depths differ by more than this share lie on two surfaces.
_DEPTH_JUMP = 0.004

_Box = tuple[int, int, int, int]  # left, top, right, bottom; px, right and bottom excluded


def render_overlay(
    image_bgr: np.ndarray,
    meshes: Sequence[np.ndarray],
    faces: Sequence[np.ndarray] | np.ndarray,
    intrinsics: np.ndarray,
    colours: Sequence[tuple[int, int, int]],
    alpha: float = 1.0,
    close_holes: bool = True,
) -> np.ndarray:
    """A copy of the picture with the meshes drawn over it; see :func:`draw_meshes`."""
    image = np.array(image_bgr, order="C")
    draw_meshes(image, meshes, faces, intrinsics, colours, alpha, close_holes)
    return image


def draw_meshes(
    image_bgr: np.ndarray,
    meshes: Sequence[np.ndarray],
    faces: Sequence[np.ndarray] | np.ndarray,
    intrinsics: np.ndarray,
    colours: Sequence[tuple[int, int, int]],
    alpha: float = 1.0,
    close_holes: bool = True,
) -> None:
    """Draw lit meshes into a picture, in place.

    Args:
        image_bgr: (H, W, 3) uint8, BGR; may be a view of a larger array.
        meshes: M arrays (V, 3), metres in the camera frame (x right, y down, z forward).
        faces: (F, 3) for all meshes or one array a mesh; counter-clockwise from outside
            (`Hands.faces_of`).
        intrinsics: K (3, 3), px.
        colours: M colours, **RGB** 0 to 255.
        alpha: opacity, 0 to 1. The nearest surface alone is blended: no hand shines through
            another.
        close_holes: close the wrist.

    Raises:
        HandError: the picture is not (H, W, 3) uint8, or the counts differ.
    """
    if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8:
        raise HandError(
            f"expected a BGR picture (H, W, 3) of uint8, got {image_bgr.shape} of "
            f"{image_bgr.dtype}; convert grey pictures with cv2.cvtColor(.., cv2.COLOR_GRAY2BGR)."
        )
    if not 0.0 <= alpha <= 1.0:
        raise HandError(f"alpha must lie between 0 and 1, got {alpha}.")
    shared = isinstance(faces, np.ndarray) and faces.ndim == 2
    topologies = [np.asarray(f) for f in ([faces] * len(meshes) if shared else faces)]
    if not len(meshes) == len(topologies) == len(colours):
        raise HandError(
            f"{len(meshes)} meshes, {len(topologies)} face lists, {len(colours)} colours; "
            "give one each."
        )
    vertices = [np.asarray(mesh, np.float64) for mesh in meshes]
    closings = [hole_faces(f) if close_holes else np.zeros((0, 3), np.int64) for f in topologies]
    for box, members in _windows(vertices, intrinsics, image_bgr.shape):
        triangles = join_meshes(
            [vertices[m] for m in members],
            [np.concatenate((topologies[m], closings[m])) for m in members],
        )
        normals = [_corner_normals(vertices[m], topologies[m], closings[m]) for m in members]
        paints = [tuple(int(c) for c in colours[m]) for m in members]
        # Nobody sees the inside of a closed mesh, unless the near plane cuts it open.
        closed = close_holes and bool((triangles.corners[..., 2] >= NEAR).all())
        for band in _bands(box):
            camera = np.array(intrinsics, np.float64)
            camera[:2, 2] -= band[:2]
            left, top, right, bottom = band
            visible = visible_faces(
                triangles,
                camera,
                (right - left, bottom - top),
                samples=_SAMPLES,
                hide_backs=closed,
            )
            lighting = _Lighting(triangles, np.concatenate(normals), camera, paints)
            _blend(image_bgr[top:bottom, left:right], visible, triangles, lighting, alpha)


def _corner_normals(vertices: np.ndarray, faces: np.ndarray, closing: np.ndarray) -> np.ndarray:
    """(F + C, 3, 3) normals at the corners, turned as if the mesh lay straight ahead."""
    smooth = vertex_normals(vertices, faces)[faces]
    # The rim of the wrist keeps the normals of the skin: what closes it is flat, with a sharp edge.
    flat = face_normals(vertices, closing)
    flat /= np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-30)
    normals = np.concatenate((smooth, np.repeat(flat[:, None], 3, axis=1)))
    seen = vertices[np.isfinite(vertices).all(axis=1)]
    return normals @ towards_camera(seen[seen[:, 2] >= NEAR]).T


def _windows(
    meshes: list[np.ndarray], intrinsics: np.ndarray, shape: tuple[int, ...]
) -> list[tuple[_Box, list[int]]]:
    """Rectangles of the picture, and the meshes each shows.

    Meshes whose rectangles touch share one, so that they hide one another; far ones do not, so
    that two small hands in a large picture stay cheap.
    """
    height, width = shape[:2]
    windows: list[tuple[_Box, list[int]]] = []
    for number, mesh in enumerate(meshes):
        box = _mesh_box(mesh, intrinsics, width, height)
        if box is None:
            continue
        members = [number]
        while touching := [w for w in windows if _touch(box, w[0])]:
            for theirs, others in touching:
                box = (
                    min(box[0], theirs[0]),
                    min(box[1], theirs[1]),
                    max(box[2], theirs[2]),
                    max(box[3], theirs[3]),
                )
                members += others
            windows = [w for w in windows if w not in touching]
        windows.append((box, sorted(members)))
    return windows


def _touch(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _mesh_box(mesh: np.ndarray, intrinsics: np.ndarray, width: int, height: int) -> _Box | None:
    finite = mesh[np.isfinite(mesh).all(axis=1)]
    front = finite[finite[:, 2] >= NEAR]
    if not len(front):
        return None
    if len(front) < len(finite):  # it reaches behind the camera: anywhere in the picture
        return 0, 0, width, height
    points = front @ np.asarray(intrinsics, np.float64).T
    points = points[:, :2] / points[:, 2:]
    left, top = np.clip(np.floor(points.min(axis=0)), 0, (width, height))
    right, bottom = np.clip(np.ceil(points.max(axis=0)) + 1, 0, (width, height))
    box = int(left), int(top), int(right), int(bottom)
    return box if right > left and bottom > top else None


def _bands(box: _Box) -> Iterator[_Box]:
    left, top, right, bottom = box
    rows = max(_BAND_SAMPLES // ((right - left) * _SAMPLES**2), 1)
    for y in range(top, bottom, rows):
        yield left, y, right, min(y + rows, bottom)


def _blend(
    region: np.ndarray, visible: Visible, triangles: Triangles, lighting: _Lighting, alpha: float
) -> None:
    """Light what is seen and blend it into a region (h, w, 3) of the picture."""
    pixel = np.flatnonzero(np.bitwise_or.reduce(visible.keys))
    if not len(pixel):
        return
    keys = visible.keys[:, pixel]
    seen = np.minimum(visible.triangle(keys), len(triangles.mesh) - 1)  # any, for nothing
    mesh = triangles.mesh[seen]
    nearest = visible.inverse_depth(keys.max(axis=0))
    farthest = visible.inverse_depth(keys.min(axis=0))  # 0 where a sample sees nothing
    filled = nearest - farthest < _DEPTH_JUMP * nearest
    for plane in range(1, len(keys)):
        filled &= mesh[plane] == mesh[0]
    y, x = np.divmod(pixel, region.shape[1])
    colour = np.zeros((len(pixel), 3), np.float32)
    inner, outline = np.flatnonzero(filled), np.flatnonzero(~filled)
    colour[inner] = lighting.colours(seen[0, inner], x[inner], y[inner])
    bare = np.zeros(len(pixel), np.float32)
    for plane in range(len(keys)):
        hit = keys[plane, outline] != 0
        bare[outline[~hit]] += 1 / len(keys)
        at = outline[hit]
        up, along = divmod(plane, _SAMPLES)
        sample_x = x[at] + ((along + 0.5) / _SAMPLES - 0.5)
        sample_y = y[at] + ((up + 0.5) / _SAMPLES - 0.5)
        colour[at] += lighting.colours(seen[plane, at], sample_x, sample_y) / len(keys)
    under = region[y, x]
    mixed = under * (1 - alpha * (1 - bare))[:, None]
    mixed += alpha * colour
    mixed += 0.5
    region[y, x] = mixed.astype(np.uint8)


class _Lighting:
    """Colours of the triangles of one window at any of its pixels."""

    def __init__(
        self,
        triangles: Triangles,
        corner_normals: np.ndarray,
        intrinsics: np.ndarray,
        paints: list[tuple[int, ...]],
    ) -> None:
        inside = triangles.facing < 0
        # Up to its length a normal is linear in the picture, as the weights over depth are.
        planes = triangles.planes(np.arange(len(inside)), intrinsics)
        gradient = corner_normals.transpose(0, 2, 1) @ planes
        gradient *= triangles.facing[:, None, None]  # towards the camera, of a harmless size
        self._gradient = np.ascontiguousarray(gradient.reshape(-1, 9).T, dtype=np.float32)
        self._table = np.concatenate([paint_table(p, i) for p in paints for i in (False, True)])
        self._offset = (2 * triangles.mesh + inside) * (GRID * GRID)

    def colours(self, triangle: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(n, 3) float32 BGR 0 to 255 of triangles (n,) at pixels x, y (n,)."""
        x, y = x.astype(np.float32), y.astype(np.float32)
        normal = []
        for at_x, at_y, offset in self._gradient.reshape(3, 3, -1):
            component = at_x[triangle] * x
            component += at_y[triangle] * y
            component += offset[triangle]
            normal.append(component)
        length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
        scale = np.float32((GRID - 1) / 2) / np.maximum(length, 1e-30)
        middle = np.float32(GRID / 2)  # (GRID - 1) / 2, and a half to round to the nearest cell
        cell_x = (normal[0] * scale + middle).astype(np.int32)
        cell_y = (normal[1] * scale + middle).astype(np.int32)
        return self._table[self._offset[triangle] + cell_y * GRID + cell_x]
