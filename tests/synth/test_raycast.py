from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.geometry import project
from wilor_yolo.synth.meshes import box, sheet
from wilor_yolo.synth.raycast import RayScene, interpolate, pixel_rays, vertex_normals

K = np.array([[80.0, 0, 31.5], [0, 80.0, 23.5], [0, 0, 1]])


def test_rays_through_pixels_come_back_to_them():
    rays = pixel_rays(K, (5, 3, 25, 20))
    assert rays.shape == (17, 20, 3)
    y, x = np.mgrid[3:20, 5:25]
    np.testing.assert_allclose(project(rays * 0.7, K), np.stack([x, y], -1), atol=1e-4)
    fine = pixel_rays(K, (5, 3, 25, 20), supersample=2)
    mean = fine.reshape(17, 2, 20, 2, 3).mean((1, 3))
    np.testing.assert_allclose(mean, rays, atol=1e-6)


def test_nearest_gives_depth_and_place():
    wall = sheet(2.0, 2.0, 3).moved(np.diag([1.0, -1, -1]), np.array([0, 0, 0.8]))
    scene = RayScene(wall.vertices, wall.faces)
    rays = pixel_rays(K, (0, 0, 64, 48)).reshape(-1, 3)
    hits = scene.nearest(np.zeros(3), rays)
    assert (hits.face >= 0).all()
    np.testing.assert_allclose(hits.distance, 0.8, atol=1e-5)
    points = interpolate(wall.vertices, wall.faces, hits.face, hits.u, hits.v)
    np.testing.assert_allclose(points, rays * 0.8, atol=1e-5)
    away = scene.nearest(np.zeros(3), -rays[:4])
    assert (away.face == -1).all()


def test_blocked_knows_its_reach():
    wall = sheet(2.0, 2.0).moved(np.eye(3), np.array([0, 0, 0.8]))
    scene = RayScene(wall.vertices, wall.faces)
    forward = np.array([[0.01, 0.02, 1.0]])
    assert scene.blocked(np.zeros(3), forward).all()
    assert not scene.blocked(np.zeros(3), forward, reach=0.5).any()
    assert not scene.blocked(np.zeros(3), -forward).any()


def test_normals_of_a_box_point_outwards():
    mesh = box(np.array([1.0, 2.0, 3.0]))
    normals = vertex_normals(mesh.vertices, mesh.faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    scaled = mesh.vertices / np.array([0.5, 1.0, 1.5])
    assert ((normals * scaled).sum(1) > 0.99).all()


def test_vertex_without_faces_has_a_finite_normal():
    normals = vertex_normals(np.zeros((4, 3)), np.array([[0, 1, 2]]))
    assert np.isfinite(normals).all()
