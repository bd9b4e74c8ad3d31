from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.synth.materials import Painted, random_cloth, random_solid, sample_picture
from wilor_yolo.synth.scene import Points


def _points(n=500):
    rest = np.random.default_rng(0).uniform(-0.1, 0.1, (n, 3)).astype(np.float32)
    zero = np.zeros(n, np.float32)
    return Points(rest, np.zeros(n, int), zero, zero, np.full(n, 0.001))


def test_random_materials_are_physical():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        for material in (random_solid(rng), random_cloth(rng), Painted.random(rng, 0.5)):
            surface = material.surface(_points())
            assert np.isfinite(surface.albedo).all()
            assert surface.albedo.min() > 0 and surface.albedo.max() <= 0.95 + 1e-5
            assert (surface.reflectance >= 0).all()
            assert np.asarray(material.bounce).shape == (3,)


def test_pictures_are_sampled_at_pixel_centres():
    picture = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    y, x = np.mgrid[:20, :30]
    n = 40_000  # more than one row of OpenCV's map
    xs, ys = np.resize(x.ravel(), n).astype(float), np.resize(y.ravel(), n).astype(float)
    out = sample_picture(picture, xs, ys)
    np.testing.assert_allclose(out, picture[ys.astype(int), xs.astype(int)], atol=1e-5)


def test_unseen_vertices_get_the_mean_light():
    solid = random_solid(np.random.default_rng(0))
    light = np.array([[1.0, 1, 1, 1], [3, 3, 3, 1], [0, 0, 0, 0]])
    out = solid.spread_light(light, np.array([True, True, False]))
    np.testing.assert_allclose(out[2], [2, 2, 2, 1])
