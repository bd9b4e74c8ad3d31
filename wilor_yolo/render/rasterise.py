"""Which triangle does each pixel see? An exact z-buffer over pixel spans, in numpy.

Every triangle is cut at the near plane, then into the rows of pixels it covers, and every row into
its pixels; one `np.maximum.at` over packed (depth, triangle) keys keeps the nearest. Depth is that
of the plane of the triangle at the pixel, so meshes may cut through each other, and a pixel on the
edge two triangles share belongs to exactly one of them. See docs/rendering.md for the renderers
this was measured against.

Pixels: (0, 0) is the *centre* of the top left pixel, as in :mod:`wilor_yolo.geometry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ..errors import HandError

__all__ = ["NEAR", "Raster", "Triangles", "Visible", "join_meshes", "rasterise", "visible_faces"]

# Metres in front of the camera where triangles are cut.
NEAR = 0.01
# Pixels handled at once; bounds the memory (some 40 bytes each) for pictures of any size.
_BATCH = 1_000_000
# Longer runs of pixels are cut into pieces, so that there are few different lengths.
_PIECE = 64
# Triangles thinner than this (px^2, twice the area) hold no pixel centre and have no stable depth.
_THIN = 1e-9


@dataclass(frozen=True)
class Raster:
    """What the pixels of a picture see.

    Attributes:
        face_id: (H, W) int32, row of the seen triangle in the faces of its mesh; -1 for nothing.
        mesh_id: (H, W) int32, which mesh it is of; -1 for nothing.
        barycentric: (H, W, 3) float32, perspective-correct weights of the triangle's corners;
            they sum to 1, or 0 where nothing is seen.
        depth: (H, W) float32, metres along the camera's z axis; inf where nothing is seen.
    """

    face_id: np.ndarray
    mesh_id: np.ndarray
    barycentric: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True)
class Triangles:
    """All triangles of some meshes in one list.

    Attributes:
        corners: (T, 3, 3) float64, corner by coordinate, camera frame, metres.
        mesh: (T,) int32, the mesh each triangle is of.
        first: (M + 1,) int, where the triangles of each mesh start.
    """

    corners: np.ndarray
    mesh: np.ndarray
    first: np.ndarray

    @cached_property
    def normal(self) -> np.ndarray:
        """(T, 3) normals, twice the area long, outward for counter-clockwise triangles."""
        first = self.corners[:, 0]
        return np.cross(self.corners[:, 1] - first, self.corners[:, 2] - first)

    @cached_property
    def facing(self) -> np.ndarray:
        """(T,) positive where the camera sees the outside, negative for the inside."""
        return -np.einsum("ti,ti->t", self.corners[:, 0], self.normal)

    def planes(self, rows: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
        """What is linear in the picture: (n, 3, 3) matrices P for the triangles `rows` (n,).

        ``P @ (x, y, 1)`` are the barycentric weights at pixel (x, y) over its depth. They hold for
        corners behind the camera too. Triangles seen exactly edge-on get zeros.
        """
        a, b, c = np.moveaxis(self.corners[rows], 1, 0)
        crosses = np.stack((np.cross(b, c), np.cross(c, a), np.cross(a, b)), axis=1)
        inverse = np.linalg.inv(np.asarray(intrinsics, np.float64))
        return (crosses * -_inverse(self.facing[rows])[:, None, None]) @ inverse

    def depth_planes(self, rows: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
        """(n, 3) vectors p for the triangles `rows` (n,): ``p @ (x, y, 1)`` is 1 / depth."""
        scaled = self.normal[rows] * -_inverse(self.facing[rows])[:, None]
        return scaled @ np.linalg.inv(np.asarray(intrinsics, np.float64))


def rasterise(
    vertices_cam: np.ndarray | Sequence[np.ndarray],
    faces: np.ndarray | Sequence[np.ndarray],
    intrinsics: np.ndarray,
    size: tuple[int, int],
    near: float = NEAR,
) -> Raster:
    """Find the triangle each pixel sees.

    Args:
        vertices_cam: one mesh (V, 3) or several, metres in the camera frame.
        faces: (F, 3) int for all meshes, or one such array a mesh. Both sides of a face are seen.
        intrinsics: K (3, 3), px.
        size: (width, height) of the picture, px.
        near: triangles are cut this far in front of the camera, metres.

    Returns:
        The raster. Where two meshes coincide, the first one is seen.

    Raises:
        HandError: shapes do not fit together.
    """
    triangles = join_meshes(vertices_cam, faces)
    width, height = size
    raster = Raster(
        face_id=np.full((height, width), -1, np.int32),
        mesh_id=np.full((height, width), -1, np.int32),
        barycentric=np.zeros((height, width, 3), np.float32),
        depth=np.full((height, width), np.inf, np.float32),
    )
    visible = visible_faces(triangles, intrinsics, size, near=near)
    pixel = np.flatnonzero(visible.keys[0])
    seen = visible.triangle(visible.keys[0, pixel])
    planes = triangles.planes(np.arange(len(triangles.mesh)), intrinsics)
    y, x = np.divmod(pixel, width)
    weights = np.empty((len(pixel), 3))
    for corner in range(3):
        plane = planes[seen, corner]
        weights[:, corner] = plane[:, 0] * x + plane[:, 1] * y + plane[:, 2]
    inverse_depth = weights.sum(axis=-1)
    mesh = triangles.mesh[seen]
    raster.face_id.ravel()[pixel] = seen - triangles.first[mesh]
    raster.mesh_id.ravel()[pixel] = mesh
    raster.barycentric.reshape(-1, 3)[pixel] = weights / inverse_depth[:, None]
    raster.depth.ravel()[pixel] = 1 / inverse_depth
    return raster


def join_meshes(
    vertices_cam: np.ndarray | Sequence[np.ndarray], faces: np.ndarray | Sequence[np.ndarray]
) -> Triangles:
    """One list of triangles from one or several meshes; those with a non-finite corner collapse.

    Raises:
        HandError: shapes do not fit together, or a face names a vertex that does not exist.
    """
    if isinstance(vertices_cam, np.ndarray) and vertices_cam.ndim == 2:
        meshes: list[np.ndarray] = [vertices_cam]
    else:
        meshes = [np.asarray(mesh) for mesh in vertices_cam]
    if isinstance(faces, np.ndarray) and faces.ndim == 2:
        topologies = [faces] * len(meshes)
    else:
        topologies = [np.asarray(f) for f in faces]
    if len(topologies) != len(meshes):
        raise HandError(f"{len(meshes)} meshes but {len(topologies)} face lists; give one each.")
    parts = [np.zeros((0, 3, 3))]
    for vertices, topology in zip(meshes, topologies, strict=True):
        if vertices.ndim != 2 or vertices.shape[1] != 3 or topology.shape[1:] != (3,):
            raise HandError(
                f"expected vertices (V, 3) and faces (F, 3), got {vertices.shape} and "
                f"{topology.shape}."
            )
        if len(topology) and (topology.min() < 0 or topology.max() >= len(vertices)):
            raise HandError(
                f"faces name vertex {topology.max()}, the mesh has {len(vertices)} vertices."
            )
        parts.append(np.asarray(vertices, np.float64)[topology.astype(np.int64)])
    counts = [len(part) for part in parts[1:]]
    corners = np.concatenate(parts)
    if not np.isfinite(corners).all():
        corners[~np.isfinite(corners).all(axis=(1, 2))] = 0.0
    return Triangles(
        corners=corners,
        mesh=np.repeat(np.arange(len(meshes), dtype=np.int32), counts),
        first=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
    )


@dataclass(frozen=True)
class Visible:
    """The nearest triangle at every sample of a picture.

    Attributes:
        keys: (P, H * W) int64, 0 where nothing is seen; the bits of 1 / depth as a double, the low
            ones replaced by the triangle. Larger is nearer.
        id_mask: the low bits.
    """

    keys: np.ndarray
    id_mask: int

    def triangle(self, keys: np.ndarray) -> np.ndarray:
        """Rows of the triangles behind non-zero keys, int64."""
        return self.id_mask - (keys & self.id_mask)

    def inverse_depth(self, keys: np.ndarray) -> np.ndarray:
        """1 / metres behind keys, float64, to eight digits or better; 0 for nothing."""
        return (keys & ~self.id_mask).view(np.float64)


def visible_faces(
    triangles: Triangles,
    intrinsics: np.ndarray,
    size: tuple[int, int],
    *,
    near: float = NEAR,
    samples: int = 1,
    hide_backs: bool = False,
) -> Visible:
    """The nearest triangle at every pixel, or at several samples of every pixel.

    With ``samples=s`` the picture is looked at s times finer along both axes, and comes back as
    s * s interleaved pictures, the planes: sample (i, j) of pixel (x, y) is at
    ``(x + (j + 0.5) / s - 0.5, y + (i + 0.5) / s - 0.5)`` in plane ``i * s + j``.

    Args:
        triangles: the meshes.
        intrinsics: K (3, 3), px of the picture (not of the samples).
        size: (width, height) of the picture, px.
        near: where triangles are cut, metres.
        samples: samples along each axis of a pixel.
        hide_backs: leave out triangles seen from inside. Nothing changes for closed meshes in
            front of the camera, in half the time.
    """
    width, height = size
    refine = np.array(
        [[samples, 0, (samples - 1) / 2], [0, samples, (samples - 1) / 2], [0, 0, 1]], np.float64
    )
    fine = refine @ np.asarray(intrinsics, np.float64)
    id_bits = max(int(len(triangles.corners) - 1).bit_length(), 1)
    # Positive doubles order like their bits, so the low bits of 1 / depth can carry the triangle;
    # complemented, so that the first of two equal ones wins.
    id_mask = np.int64((1 << id_bits) - 1)
    plane = height * width
    keys = np.zeros(samples * samples * plane, np.int64)
    visible = Visible(keys.reshape(samples * samples, plane), int(id_mask))
    column = np.arange(width * samples)
    column_index = column % samples * plane + column // samples

    corners, owner = _clip_near(triangles, near)
    if hide_backs:
        shown = triangles.facing[owner] > 0
        corners, owner = corners[shown], owner[shown]
    row, start, stop, which = _spans(_project(corners, fine), (width * samples, height * samples))
    slope_x, slope_y, offset = triangles.depth_planes(owner, fine).T
    slope = slope_x[which]
    at_row = slope_y[which] * row + offset[which]
    row_index = row % samples * samples * plane + row // samples * width
    tag = id_mask - owner[which]
    for spans, x in _batches(start, stop):
        inverse_depth = slope[spans, None] * x
        inverse_depth += at_row[spans, None]
        np.maximum(inverse_depth, 0.0, out=inverse_depth)  # rounding, of far edge-on triangles
        key = inverse_depth.view(np.int64)
        key &= ~id_mask
        key |= tag[spans, None]
        index = column_index[x]
        index += row_index[spans, None]
        np.maximum.at(keys, index.ravel(), key.ravel())
    return visible


def _inverse(values: np.ndarray) -> np.ndarray:
    return np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)


def _project(corners: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    homogeneous = corners @ intrinsics.T
    return homogeneous[..., :2] / homogeneous[..., 2:]


def _clip_near(triangles: Triangles, near: float) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (C, 3, 3) in front of the near plane, and the row (C,) each one is a part of."""
    in_front = triangles.corners[..., 2] >= near
    count = in_front.sum(axis=1)
    whole = np.flatnonzero(count == 3)
    corners, owner = [triangles.corners[whole]], [whole]
    for kept in (1, 2):
        rows = np.flatnonzero(count == kept)
        if not len(rows):
            continue
        # Turn each triangle until the corner that is alone on its side of the plane comes first.
        alone = np.argmax(in_front[rows] == (kept == 1), axis=1)
        turn = (alone[:, None] + np.arange(3)) % 3
        a, b, c = np.moveaxis(np.take_along_axis(triangles.corners[rows], turn[..., None], 1), 1, 0)
        ab, ac = _cut(a, b, near), _cut(a, c, near)
        pieces = [(a, ab, ac)] if kept == 1 else [(ab, b, c), (ab, c, ac)]
        for piece in pieces:
            corners.append(np.stack(piece, axis=1))
            owner.append(rows)
    return np.concatenate(corners), np.concatenate(owner)


def _cut(a: np.ndarray, b: np.ndarray, near: float) -> np.ndarray:
    """Where the lines from a to b (n, 3) meet the near plane."""
    # From the smaller depth to the larger one whichever end is named first: neighbours that share
    # the edge must get the same point, or a crack would open between them.
    swap = (a[:, 2] > b[:, 2])[:, None]
    low, high = np.where(swap, b, a), np.where(swap, a, b)
    share = (near - low[:, 2]) / (high[:, 2] - low[:, 2])
    return low + share[:, None] * (high - low)


def _spans(
    screen: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Runs of pixels inside triangles.

    Args:
        screen: (C, 3, 2) corners, px.
        size: (width, height).

    Returns:
        row, start, stop, triangle: (S,) int each; pixels start <= x < stop of that row.
    """
    width, height = size
    doubled_area = (screen[:, 1, 0] - screen[:, 0, 0]) * (screen[:, 2, 1] - screen[:, 0, 1]) - (
        screen[:, 2, 0] - screen[:, 0, 0]
    ) * (screen[:, 1, 1] - screen[:, 0, 1])
    order = np.argsort(screen[..., 1], axis=1, kind="stable")
    a, b, c = np.moveaxis(np.take_along_axis(screen, order[..., None], 1), 1, 0)
    # A row y is inside when a.y <= y < c.y: half open, so touching triangles share no pixel.
    top = np.clip(np.ceil(a[:, 1]), 0, height).astype(np.int64)
    bottom = np.clip(np.ceil(c[:, 1]), 0, height).astype(np.int64)
    left_of_picture = screen[..., 0].max(axis=1) < 0
    right_of_picture = screen[..., 0].min(axis=1) > width - 1
    rows = np.where(
        (np.abs(doubled_area) < _THIN) | left_of_picture | right_of_picture, 0, bottom - top
    )
    which = np.repeat(np.arange(len(screen)), rows)
    row = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows - top, rows)
    y = row.astype(np.float64)
    long_edge = _edge_at(a, c, which, y)
    upper = y < b[which, 1]
    short_edge = np.where(upper, _edge_at(a, b, which, y), _edge_at(b, c, which, y))
    start = np.clip(np.ceil(np.minimum(long_edge, short_edge)), 0, width).astype(np.int64)
    stop = np.clip(np.ceil(np.maximum(long_edge, short_edge)), 0, width).astype(np.int64)
    filled = stop > start
    return row[filled], start[filled], stop[filled], which[filled]


def _edge_at(upper: np.ndarray, lower: np.ndarray, which: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x (S,) of the edges of triangles `which` at heights y (S,); both ends sorted by height."""
    step = lower - upper
    # A level edge is never asked for its x, save by np.where, which drops the answer.
    slope = np.divide(step[:, 0], step[:, 1], out=np.zeros(len(step)), where=step[:, 1] != 0)
    return upper[which, 0] + (y - upper[which, 1]) * slope[which]


def _batches(start: np.ndarray, stop: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Spans of equal length together: their numbers (n,) and their pixels' columns (n, length)."""
    number = np.arange(len(start))
    while len(number):  # long spans give off pieces of _PIECE pixels until they are short
        length = np.minimum(stop - start, _PIECE)
        order = np.argsort(length, kind="stable")
        edges = np.flatnonzero(np.diff(length[order], prepend=0, append=_PIECE + 1))
        for first, last in pairwise(edges):
            size = int(length[order[first]])
            step = max(_BATCH // size, 1)
            for at in range(first, last, step):
                chosen = order[at : min(at + step, last)]
                yield number[chosen], start[chosen, None] + np.arange(size)
        rest = stop - start > _PIECE
        number, start, stop = number[rest], start[rest] + _PIECE, stop[rest]
