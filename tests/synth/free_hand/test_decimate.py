"""Thinning keeps topology, fixed vertices and shape."""

from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.synth.free_hand.decimate import (
    boundary_edges,
    cut_hand,
    decimate,
    rim_loop,
    wrist_cap,
)


def _tube(around: int = 24, along: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A tube along x, closed at the small end by a fan; quads first, fan as split quads."""
    angle = 2 * np.pi * np.arange(around) / around
    points = [[i / along, 0.3 * np.cos(a), 0.3 * np.sin(a)] for i in range(along) for a in angle]
    points.append([-0.1, 0.0, 0.0])
    triangles = []
    for i in range(along - 1):
        for k in range(around):
            a, b = i * around + k, i * around + (k + 1) % around
            triangles += [[a, b, b + around], [a, b + around, a + around]]
    triangles += [[(k + 1) % around, k, len(points) - 1] for k in range(around)]
    return np.array(points), np.array(triangles)


def test_decimation_reaches_its_counts_and_keeps_the_surface():
    points, triangles = _tube()
    tip = len(points) - 1
    thin = decimate(points, triangles, {tip, 100}, vertex_target=150, rim_target=16)
    used = np.unique(thin)
    assert len(used) == 150 and tip in used and 100 in used
    assert len(rim_loop(thin)) == 16
    assert len(thin) == 2 * 150 - 2 - 16  # one hole: Euler
    edges = {(int(t[k]), int(t[(k + 1) % 3])) for t in thin for k in range(3)}
    assert len(edges) == 3 * len(thin)  # every directed edge once

    def area(t: np.ndarray) -> float:
        p = points[t]
        return float(np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1).sum())

    assert area(thin) == pytest.approx(area(triangles), rel=0.08)


def test_unreachable_count_is_an_error():
    points, triangles = _tube(8, 4)
    with pytest.raises(HandError, match="stopped at"):
        decimate(points, triangles, set(range(len(points))), vertex_target=10, rim_target=8)


def test_cap_closes_the_rim_without_doubled_edges():
    _, triangles = _tube()
    closed = np.concatenate([triangles, wrist_cap(triangles)])
    assert boundary_edges(closed) == []
    edges = [(int(t[k]), int(t[(k + 1) % 3])) for t in closed for k in range(3)]
    assert len(set(edges)) == len(edges)


def test_cut_keeps_the_biggest_piece():
    points = np.array([[x, y, 0.0] for x in range(6) for y in range(2)], float)
    quads = np.array([[2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2] for i in range(5)])
    kept = cut_hand(quads, points, cut_x=3.5)
    assert sorted(np.unique(kept).tolist()) == list(range(8))
    with_island = cut_hand(quads[[0, 1, 3]], points, cut_x=9.0)
    assert sorted(np.unique(with_island).tolist()) == list(range(6))
