from __future__ import annotations

import numpy as np
import pytest


def _ball(centre, radius, rings=9, sectors=12):
    """A closed mesh of triangles, counter-clockwise from outside."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    around = np.arange(sectors) / sectors * 2 * np.pi
    ring = np.stack(
        [
            np.outer(np.sin(polar), np.cos(around)),
            np.outer(np.sin(polar), np.sin(around)),
            np.outer(np.cos(polar), np.ones(sectors)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0, 0, 1], [0, 0, -1]]])
    top, bottom = len(ring), len(ring) + 1
    faces = []
    for k in range(sectors):
        after = (k + 1) % sectors
        faces.append([top, k, after])
        for r in range(rings - 2):
            a, b = r * sectors + k, r * sectors + after
            faces += [[a, a + sectors, b], [b, a + sectors, b + sectors]]
        last = (rings - 2) * sectors
        faces.append([last + k, bottom, last + after])
    return vertices * radius + centre, np.array(faces)


@pytest.fixture
def ball():
    """``ball(centre, radius)`` -> vertices (V, 3), faces (F, 3): closed, wound from outside."""
    return _ball
