"""Catmull-Clark as a matrix."""

from __future__ import annotations

import numpy as np

from wilor_yolo.synth.free_hand.subdivide import catmull_clark, subdivide_corner_values

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
CUBE_QUADS = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)


def _grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    points = np.array([[i, j, 0.0] for i in range(n) for j in range(n)])
    quads = [
        [i * n + j, i * n + j + 1, (i + 1) * n + j + 1, (i + 1) * n + j]
        for i in range(n - 1)
        for j in range(n - 1)
    ]
    return points, np.array(quads)


def test_cube_follows_the_published_rules():
    step = catmull_clark(CUBE_QUADS, 8)
    fine = step.smooth @ CUBE
    assert fine.shape == (8 + 12 + 6, 3) and step.quads.shape == (24, 4)
    # Corner of a cube: (F + 2R + (n - 3) P) / n with F = 1/3 P, R = 2/3 P, n = 3.
    np.testing.assert_allclose(fine[:8], CUBE * (1 / 3 + 2 * 2 / 3) / 3)
    np.testing.assert_allclose(np.sort(np.linalg.norm(fine[20:], axis=1)), 1)
    np.testing.assert_allclose(np.linalg.norm(fine[8:20], axis=1), 0.75 * np.sqrt(2))


def test_flat_grid_stays_flat_and_its_edge_straight():
    points, quads = _grid(5)
    step = catmull_clark(quads, 25)
    fine = step.smooth @ points
    assert np.abs(fine[:, 2]).max() == 0
    np.testing.assert_allclose(fine[6:9], points[6:9])  # regular inside: linear precision
    assert fine[:, :2].min() >= 0 and fine[:, :2].max() <= 4
    np.testing.assert_allclose(np.asarray(step.linear.sum(1)).ravel(), 1)
    np.testing.assert_allclose(np.asarray(step.smooth.sum(1)).ravel(), 1)


def test_winding_is_kept_and_corner_values_follow_the_vertices():
    points, quads = _grid(4)
    step = catmull_clark(quads, 16)
    fine = step.linear @ points

    def normals(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.cross(p[q[:, 1]] - p[q[:, 0]], p[q[:, 2]] - p[q[:, 0]])[:, 2]

    assert np.sign(normals(fine, step.quads)).tolist() == [np.sign(normals(points, quads)[0])] * 36
    corners = subdivide_corner_values(points[quads])
    np.testing.assert_allclose(corners, fine[step.quads])
