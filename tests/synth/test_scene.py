from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.geometry import project
from wilor_yolo.synth.light import sample_lighting
from wilor_yolo.synth.materials import random_solid
from wilor_yolo.synth.meshes import box
from wilor_yolo.synth.scene import Part, render_scene

K = np.array([[60.0, 0, 31.5], [0, 60.0, 31.5], [0, 0, 1]])


def _part(rng, place, side=0.2):
    mesh = box(np.full(3, side)).moved(np.eye(3), np.asarray(place, float))
    return Part(mesh.vertices, mesh.faces, mesh.vertices, random_solid(rng))


def test_parts_cover_the_pixels_they_project_to():
    rng = np.random.default_rng(0)
    far, near = _part(rng, (0, 0, 1.0), 0.6), _part(rng, (0.05, 0, 0.6), 0.1)
    out = render_scene([far, near], K, (64, 64), sample_lighting(rng), rng, rays=4)
    for index, part in ((0, far), (1, near)):
        corners = project(part.vertices, K)
        y, x = np.nonzero(out.part == index)
        assert abs(x.min() - corners[:, 0].min()) < 1 and abs(x.max() - corners[:, 0].max()) < 1
        assert abs(y.min() - corners[:, 1].min()) < 1 and abs(y.max() - corners[:, 1].max()) < 1
    assert out.part[32, 35] == 1 and out.depth[32, 35] == pytest.approx(0.55, abs=1e-4)
    assert ((out.alpha > 0.99) == (out.alpha > 0.6)).mean() > 0.9
    assert out.alpha.max() <= 1 + 1e-5
    assert (out.radiance[out.alpha == 0] == 0).all()
    assert np.isfinite(out.radiance).all() and out.radiance.max() > 0
    part, face, depth = out.seen_along(np.array([[0.05 / 0.6, 0, 1.0], [5, 5, 1.0]]))
    assert part.tolist() == [1, -1]
    assert 0 <= face[0] < len(near.faces) and depth[0] == pytest.approx(0.55, abs=1e-4)


def test_nothing_in_view():
    rng = np.random.default_rng(0)
    aside = _part(rng, (5, 0, 1.0))
    out = render_scene([aside], K, (64, 64), sample_lighting(rng), rng, rays=4)
    assert out.alpha.max() == 0
