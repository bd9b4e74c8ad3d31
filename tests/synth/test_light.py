from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.synth.light import (
    irradiance,
    linear_from_srgb,
    look_up,
    panorama,
    panorama_names,
    sample_lighting,
    srgb_from_linear,
)
from wilor_yolo.synth.meshes import sheet
from wilor_yolo.synth.raycast import RayScene


def _even_light(colour=(1.0, 0.5, 0.25)):
    lighting = sample_lighting(np.random.default_rng(0))
    even = np.broadcast_to(np.float32(colour), (32, 64, 3)).copy()
    place = replace(lighting.panorama, soft=even, glossy=even)
    return replace(lighting, panorama=place, tint=np.ones(3, np.float32))


def test_all_panoramas_are_shipped_and_sane():
    names = panorama_names()
    assert len(names) == 18
    for name in names:
        place = panorama(name)
        assert place.sharp.shape == (256, 512, 3)
        assert np.isfinite(place.sharp).all() and (place.sharp >= 0).all()
        assert np.linalg.norm(place.brightest) == pytest.approx(1, abs=1e-5)
        assert place.contrast > 1


def test_brightest_direction_looks_at_the_lamp():
    place = panorama("sunrise")
    toward = look_up(place.sharp, place.brightest[None], np.eye(3))
    away = look_up(place.sharp, -place.brightest[None], np.eye(3))
    assert toward.mean() > 20 * away.mean()


def test_even_light_reaches_an_open_surface_whole():
    lighting, rng = _even_light(), np.random.default_rng(0)
    far = sheet(0.1, 0.1).moved(np.eye(3), np.array([0, 0, 50.0]))
    scene = RayScene(far.vertices, far.faces)
    light, open_sky = irradiance(
        lighting, scene, np.zeros((2, 3)), np.array([[0, 0, -1.0], [1, 0, 0]]), rng
    )
    np.testing.assert_allclose(open_sky, 1)
    np.testing.assert_allclose(light, [[1, 0.5, 0.25]] * 2, rtol=1e-5)


def test_a_wall_takes_half_of_the_light():
    lighting, rng = _even_light(), np.random.default_rng(0)
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    wall = sheet(40.0, 40.0).moved(turn, np.array([0.1, 0, 0]))  # the plane x = 0.1
    scene = RayScene(wall.vertices, wall.faces)
    up = np.array([[0, -1.0, 0]])
    _, open_sky = irradiance(lighting, scene, np.zeros((1, 3)), up, rng, rays=400)
    assert open_sky[0] == pytest.approx(0.5, abs=0.04)


def test_srgb_there_and_back():
    values = np.linspace(0, 1, 101)
    np.testing.assert_allclose(srgb_from_linear(linear_from_srgb(values)), values, atol=1e-6)
