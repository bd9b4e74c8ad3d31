"""Cut the hand from the arm and thin it to MANO's 778 vertices and 16-vertex wrist rim.

Half-edge collapses by quadric error (M. Garland, P. Heckbert, "Surface simplification using
quadric error metrics", SIGGRAPH 1997): a vertex is only ever merged into a neighbour, never moved,
so the thin mesh keeps a subset of the vertices of the fine one.
"""

from __future__ import annotations

import heapq

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

from wilor_yolo.errors import HandError

__all__ = ["boundary_edges", "cut_hand", "decimate", "rim_loop", "wrist_cap"]

_MIN_NORMAL_COSINE = 0.3  # a collapse may not turn a triangle further than this
_MIN_SHAPE = 0.05  # twice the area over the longest edge squared: no slivers
_MAX_VALENCE = 11
_LENGTH_COST = 2e-6  # prefers short edges where the surface is flat


def boundary_edges(triangles: np.ndarray) -> list[tuple[int, int]]:
    """Directed edges that have no opposite twin."""
    edges = {(int(t[k]), int(t[(k + 1) % 3])) for t in triangles for k in range(3)}
    return sorted(e for e in edges if (e[1], e[0]) not in edges)


def rim_loop(triangles: np.ndarray) -> list[int]:
    """Vertices of the one open rim, in the direction of the faces' own edges."""
    following = dict(boundary_edges(triangles))
    start = min(following)
    loop = [start]
    while following[loop[-1]] != start:
        loop.append(following[loop[-1]])
    if len(loop) != len(following):
        raise HandError("the hand has more than one open rim: the arm was cut in a bad place")
    return loop


def wrist_cap(triangles: np.ndarray) -> np.ndarray:
    """(R-2,3) faces that close the rim of R vertices, wound like the rest (a fan).

    The fan's root is chosen so that none of its diagonals is already an edge of the mesh: such a
    diagonal would belong to three faces.
    """
    loop = rim_loop(triangles)
    edges = {frozenset((int(t[k]), int(t[(k + 1) % 3]))) for t in triangles for k in range(3)}
    for shift in range(len(loop)):
        fan = loop[shift:] + loop[:shift]
        if all(frozenset((fan[0], other)) not in edges for other in fan[2:-1]):
            return np.array([[fan[0], fan[k + 1], fan[k]] for k in range(1, len(fan) - 1)])
    raise HandError("no way to close the wrist without a doubled edge")


def cut_hand(quads: np.ndarray, points: np.ndarray, cut_x: float) -> np.ndarray:
    """Triangles (T,3) of the largest piece on the finger side of the plane x = `cut_x` (metres)."""
    kept = quads[(points[quads, 0] < cut_x).all(1)]
    triangles = np.concatenate([kept[:, [0, 1, 2]], kept[:, [0, 2, 3]]])
    links = sp.csr_matrix(
        (np.ones(triangles.size), (triangles.ravel(), np.roll(triangles, 1, 1).ravel())),
        (len(points), len(points)),
    )
    _, label = csgraph.connected_components(links, directed=False)
    biggest = np.bincount(label[triangles[:, 0]]).argmax()
    return triangles[label[triangles[:, 0]] == biggest]


class _Collapser:
    """The mesh during decimation: triangles, their vertices, quadrics and a heap of collapses."""

    def __init__(self, points: np.ndarray, triangles: np.ndarray, fixed: set[int]) -> None:
        self.points = points
        self.fixed = fixed
        self.triangles = {i: list(map(int, t)) for i, t in enumerate(triangles)}
        self.around: dict[int, set[int]] = {}
        for i, t in self.triangles.items():
            for v in t:
                self.around.setdefault(v, set()).add(i)
        self.quadric = {v: np.zeros((4, 4)) for v in self.around}
        for t in self.triangles.values():
            plane = self._plane_quadric(t)
            for v in t:
                self.quadric[v] += plane
        self.rim = {v for edge in boundary_edges(triangles) for v in edge}
        self.version = dict.fromkeys(self.around, 0)
        self.heap: list[tuple[float, int, int, int, int]] = []
        for v in sorted(self.around):
            self._push(v)

    def _plane_quadric(self, triangle: list[int]) -> np.ndarray:
        a, b, c = self.points[triangle]
        normal = np.cross(b - a, c - a)
        area = np.linalg.norm(normal)
        if area < 1e-14:
            return np.zeros((4, 4))
        normal = normal / area
        plane = np.append(normal, -normal @ a)
        return np.outer(plane, plane) * area

    def _neighbours(self, v: int) -> set[int]:
        return {w for i in self.around[v] for w in self.triangles[i]} - {v}

    def _push(self, v: int) -> None:
        for w in sorted(self._neighbours(v)):
            on_rim_edge = len(self.around[v] & self.around[w]) == 1
            for source, target in ((v, w), (w, v)):
                if source in self.fixed or (source in self.rim and target not in self.rim):
                    continue
                length = float(np.sum((self.points[source] - self.points[target]) ** 2))
                cost = _LENGTH_COST * length
                if not on_rim_edge:  # along the rim only length counts: it has no shape to keep
                    place = np.append(self.points[target], 1.0)
                    both = self.quadric[source] + self.quadric[target]
                    cost += float(place @ both @ place)
                versions = (self.version[source], self.version[target])
                heapq.heappush(self.heap, (cost, source, target, *versions))

    def _allowed(self, source: int, target: int, rim_target: int) -> bool:
        if source in self.rim and len(self.rim) <= rim_target:
            return False
        near_source, near_target = self._neighbours(source), self._neighbours(target)
        if target not in near_source:
            return False
        shared = self.around[source] & self.around[target]
        # Link condition: otherwise the surface would touch itself.
        if len(near_source & near_target) != len(shared):
            return False
        if source in self.rim and len(shared) != 1:
            return False
        if len(near_source | near_target) - 2 > _MAX_VALENCE:
            return False
        return all(
            self._keeps_shape(self.triangles[i], source, target)
            for i in self.around[source] - shared
        )

    def _keeps_shape(self, triangle: list[int], source: int, target: int) -> bool:
        before = self.points[triangle]
        after = self.points[[target if v == source else v for v in triangle]]
        old = np.cross(before[1] - before[0], before[2] - before[0])
        new = np.cross(after[1] - after[0], after[2] - after[0])
        size = np.linalg.norm(new)
        longest = max(np.sum((after[k] - after[k - 1]) ** 2) for k in range(3))
        return old @ new >= _MIN_NORMAL_COSINE * np.linalg.norm(old) * size and (
            size >= _MIN_SHAPE * longest
        )

    def _collapse(self, source: int, target: int) -> None:
        for i in self.around[source] & self.around[target]:
            for v in self.triangles.pop(i):
                self.around[v].discard(i)
        for i in self.around[source]:
            self.triangles[i] = [target if v == source else v for v in self.triangles[i]]
            self.around[target].add(i)
        del self.around[source]
        self.quadric[target] += self.quadric[source]
        self.rim.discard(source)
        changed = sorted(self._neighbours(target) | {target})
        for v in changed:
            self.version[v] += 1
        for v in changed:
            self._push(v)

    def run(self, vertex_target: int, rim_target: int) -> np.ndarray:
        while len(self.around) > vertex_target and self.heap:
            _, source, target, source_version, target_version = heapq.heappop(self.heap)
            if source not in self.around or target not in self.around:
                continue
            stale = self.version[source] != source_version or self.version[target] != target_version
            if not stale and self._allowed(source, target, rim_target):
                self._collapse(source, target)
        return np.array(list(self.triangles.values()))


def decimate(
    points: np.ndarray,
    triangles: np.ndarray,
    fixed: set[int],
    vertex_target: int = 778,
    rim_target: int = 16,
) -> np.ndarray:
    """Triangles (T',3) into the same `points` (V,3) metres, with `vertex_target` vertices left.

    Vertices in `fixed` (fingertips) survive. Raises HandError when the counts are not reached.
    """
    thin = _Collapser(points, triangles, fixed).run(vertex_target, rim_target)
    vertices, rim = len(np.unique(thin)), len(rim_loop(thin))
    if (vertices, rim) != (vertex_target, rim_target):
        raise HandError(f"decimation stopped at {vertices} vertices with a rim of {rim}")
    return thin
