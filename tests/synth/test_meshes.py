from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from wilor_yolo.synth.meshes import box, lathe, tube


def _volume(mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_faces_are_wound_outwards_and_closed():
    assert _volume(box(np.array([0.1, 0.2, 0.3]))) == pytest.approx(0.006)
    can = lathe(np.array([(0, -1), (1, -1), (1, -1), (1, 1), (1, 1), (0, 1)]), 200)
    assert _volume(can) == pytest.approx(2 * np.pi, rel=1e-3)
    t = np.linspace(0, 1, 5)
    path = np.stack([t + 3, 0 * t, 0 * t], 1)
    radii = np.tile([0.2, 0.1], (5, 1))
    radii[[0, -1]] = 1e-9  # closed ends
    closed = tube(path, radii, 100)
    # Two cones and a cylinder in the middle, each a quarter or half long.
    assert _volume(closed) == pytest.approx(np.pi * 0.02 * (0.5 + 2 * 0.25 / 3), rel=1e-2)


def test_moved_turns_then_shifts():
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    mesh = box(np.ones(3)).moved(turn, np.array([1.0, 2, 3]))
    np.testing.assert_allclose(mesh.vertices.mean(0), [1, 2, 3], atol=1e-12)
    assert _volume(mesh) == pytest.approx(1.0)
