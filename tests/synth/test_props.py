from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.synth.props import bystander, obstacle, support


def _volume(part) -> float:
    a, b, c = (part.vertices[part.faces[:, k]] for k in range(3))
    origin = part.vertices.mean(0)
    return float(np.einsum("ij,ij->i", a - origin, np.cross(b - origin, c - origin)).sum() / 6)


def test_heads_are_not_inside_out():
    for seed in range(5):
        parts = bystander(np.random.default_rng(seed), np.array([0.1, 0, 0.5]), 0.3, 3.0)
        head = parts[0]
        assert 0.002 < _volume(head) < 0.006  # a human head has some four litres
        assert (head.vertices[:, 2] > 0.5).all()
        # Its top is up (y points down), the trunk below it.
        assert parts[2].vertices[:, 1].mean() > head.vertices[:, 1].mean()


def test_support_lies_beneath_everything_and_faces_the_eye():
    hand, found = np.random.default_rng(0).normal([0.05, 0, 0.6], 0.05, (200, 3)), 0
    for seed in range(20):
        table = support(np.random.default_rng(seed), hand, np.array([0, 0, 1.0]))
        if table is None:
            continue
        found += 1
        a, b, c = table.vertices[table.faces[0]]
        normal = np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal)
        height = (hand - a) @ normal
        assert height.min() > -1e-6
        assert -a @ normal > 0.05
    assert found > 10


def test_obstacle_stands_between_eye_and_target():
    target = np.array([0.05, 0.02, 0.8])
    for seed in range(10):
        part = obstacle(np.random.default_rng(seed), target)
        assert part.vertices.mean(0)[2] < 0.8
