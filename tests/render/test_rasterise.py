from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.render import rasterise as module
from wilor_yolo.render.rasterise import NEAR, rasterise

SIZE = (48, 40)
K = np.array([[50.0, 0, 23.5], [0, 50, 19.5], [0, 0, 1]])


def cast_rays(meshes, faces, intrinsics, size, near=NEAR):
    """The slow way: every pixel against every triangle (Moeller and Trumbore)."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    rays = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3) @ np.linalg.inv(intrinsics).T
    depth = np.full(width * height, np.inf)
    mesh_id = np.full(width * height, -1)
    face_id = np.full(width * height, -1)
    margin = np.full(width * height, np.inf)  # how close a ray came to an edge, or to a second hit
    every = [
        (m, f, corners)
        for m, (vertices, topology) in enumerate(zip(meshes, faces, strict=True))
        for f, corners in enumerate(np.asarray(vertices, float)[topology])
    ]
    for m, f, corners in every:
        edge1, edge2 = corners[1] - corners[0], corners[2] - corners[0]
        p = np.cross(rays, edge2)
        determinant = p @ edge1
        with np.errstate(divide="ignore", invalid="ignore"):
            u = p @ -corners[0] / determinant
            q = np.cross(-corners[0], edge1)
            v = rays @ q / determinant
            z = edge2 @ q / determinant  # rays advance by 1 in z
            inside = np.minimum(np.minimum(u, v), 1 - u - v)
            apart = np.abs(z - depth)
        valid = np.isfinite(z) & (z >= near)
        margin = np.where(valid, np.minimum(margin, np.abs(inside)), margin)
        hit = valid & (inside >= 0)
        margin = np.where(hit & np.isfinite(depth), np.minimum(margin, apart), margin)
        nearer = hit & (z < depth)
        depth[nearer], mesh_id[nearer], face_id[nearer] = z[nearer], m, f
    shape = (height, width)
    return (
        depth.reshape(shape),
        mesh_id.reshape(shape),
        face_id.reshape(shape),
        (margin > 1e-9).reshape(shape),
    )


SCENES = {  # centre and radius of balls
    "one behind the other": [([0, 0, 0.5], 0.1), ([0.05, 0.02, 0.8], 0.2)],
    "cut through one another": [([-0.02, 0, 0.5], 0.1), ([0.06, 0.01, 0.52], 0.1)],
    "over the border": [([-0.25, -0.2, 0.5], 0.1), ([0.25, 0.21, 0.5], 0.15)],
    "around the camera": [([0.1, 0.05, 0.1], 0.3), ([0, 0, 0.9], 0.1)],
    "behind the camera": [([0, 0, -0.5], 0.1), ([0.0, 0.1, 0.5], 0.1)],
    "smaller than a pixel": [([0.003, 0.002, 9.0], 0.05), ([0.5, 0.1, 3.0], 0.02)],
}


@pytest.fixture
def scene(ball):
    """``scene(name)`` -> vertices of each mesh, faces of each mesh."""
    return lambda name: tuple(zip(*(ball(*each) for each in SCENES[name]), strict=True))


@pytest.mark.parametrize("name", SCENES)
def test_same_as_casting_every_ray(name, scene):
    meshes, faces = scene(name)
    raster = rasterise(meshes, faces, K, SIZE)
    depth, mesh_id, face_id, clear = cast_rays(meshes, faces, K, SIZE)
    assert clear.mean() > 0.97, "too few pixels to compare"
    np.testing.assert_array_equal(raster.mesh_id[clear], mesh_id[clear])
    np.testing.assert_array_equal(raster.face_id[clear], face_id[clear])
    np.testing.assert_allclose(raster.depth[clear], depth[clear], rtol=1e-6)
    assert (raster.face_id >= 0).any()


def test_overlapping_meshes_show_both(scene):
    meshes, faces = scene("cut through one another")
    raster = rasterise(meshes, faces, K, SIZE)
    assert {-1, 0, 1} == set(np.unique(raster.mesh_id))
    swapped = rasterise(meshes[::-1], faces[::-1], K, SIZE)
    seen = raster.mesh_id >= 0
    np.testing.assert_array_equal(seen, swapped.mesh_id >= 0)
    np.testing.assert_array_equal(raster.mesh_id[seen], 1 - swapped.mesh_id[seen])


def test_barycentric_weights_give_back_the_point(ball):
    vertices, faces = ball([0.05, -0.02, 0.4], 0.12)
    raster = rasterise(vertices, faces, K, SIZE)
    y, x = np.nonzero(raster.face_id >= 0)
    weights = raster.barycentric[y, x].astype(float)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    point = np.einsum("nc,nci->ni", weights, vertices[faces[raster.face_id[y, x]]])
    pixel = point @ K.T
    np.testing.assert_allclose(pixel[:, :2] / pixel[:, 2:], np.stack([x, y], -1), atol=1e-3)
    np.testing.assert_allclose(point[:, 2], raster.depth[y, x], rtol=1e-5)
    assert not raster.barycentric[raster.face_id < 0].any()
    assert np.isinf(raster.depth[raster.face_id < 0]).all()


def test_a_quad_has_no_crack_and_no_pixel_twice():
    # Corners exactly on pixel centres: the hardest case for shared edges.
    square = np.array([[-10.0, -10, 50], [10, -10, 50], [10, 10, 50], [-10, 10, 50]])
    camera = np.array([[50.0, 0, 20], [0, 50, 20], [0, 0, 1]])
    halves = [np.array([[0, 1, 2]]), np.array([[0, 2, 3]])]
    one, other = (rasterise(square, half, camera, SIZE).face_id >= 0 for half in halves)
    both = rasterise(square, np.concatenate(halves), camera, SIZE).face_id >= 0
    assert not (one & other).any()
    np.testing.assert_array_equal(one | other, both)
    expected = np.zeros((SIZE[1], SIZE[0]), bool)
    expected[10:30, 10:30] = True
    np.testing.assert_array_equal(both, expected)


def test_the_near_plane_leaves_no_crack():
    # A wall of many triangles that starts behind the camera and runs off to the right.
    depth, height = np.meshgrid(np.linspace(-0.3, 2.0, 8), np.linspace(-1, 1, 8))
    vertices = np.stack([np.full_like(depth, 0.05), height * 3, depth], -1).reshape(-1, 3)
    corner = (np.arange(7)[:, None] * 8 + np.arange(7)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + 8], -1),
            np.stack([corner + 8, corner + 1, corner + 9], -1),
        ]
    )
    raster = rasterise(vertices, faces, K, SIZE)
    x = np.arange(SIZE[0])
    expected = np.full(SIZE[0], np.inf)
    ahead = x > K[0, 2]
    expected[ahead] = 0.05 * K[0, 0] / (x[ahead] - K[0, 2])
    expected[(expected > 2.0) | (expected < NEAR)] = np.inf
    np.testing.assert_allclose(raster.depth[10:30], np.tile(expected, (20, 1)), rtol=1e-5)


def test_a_cut_edge_is_the_same_from_both_ends():
    a, b = np.random.default_rng(0).normal(size=(2, 500, 3))
    a[:, 2], b[:, 2] = NEAR - np.abs(a[:, 2]), NEAR + np.abs(b[:, 2])
    np.testing.assert_array_equal(module._cut(a, b, NEAR), module._cut(b, a, NEAR))
    np.testing.assert_allclose(module._cut(a, b, NEAR)[:, 2], NEAR)


def test_large_pictures_go_through_in_batches(monkeypatch, scene):
    meshes, faces = scene("around the camera")
    whole = rasterise(meshes, faces, K, SIZE)
    monkeypatch.setattr(module, "_BATCH", 50)
    monkeypatch.setattr(module, "_PIECE", 7)
    pieces = rasterise(meshes, faces, K, SIZE)
    np.testing.assert_array_equal(whole.face_id, pieces.face_id)
    np.testing.assert_array_equal(whole.depth, pieces.depth)


def test_samples_are_where_they_are_said_to_be(ball):
    vertices, faces = ball([0.03, 0.01, 0.5], 0.1)
    triangles = module.join_meshes(vertices, faces)
    visible = module.visible_faces(triangles, K, SIZE, samples=2)
    for plane in range(4):
        i, j = divmod(plane, 2)
        moved = K.copy()
        moved[:2, 2] -= ((j + 0.5) / 2 - 0.5, (i + 0.5) / 2 - 0.5)
        alone = rasterise(vertices, faces, moved, SIZE)
        keys = visible.keys[plane].reshape(SIZE[::-1])
        np.testing.assert_array_equal(keys != 0, alone.face_id >= 0)
        seen = keys != 0
        np.testing.assert_array_equal(visible.triangle(keys[seen]), alone.face_id[seen])
        np.testing.assert_allclose(1 / visible.inverse_depth(keys[seen]), alone.depth[seen], 1e-6)


def test_hiding_backs_changes_nothing_for_closed_meshes(scene):
    meshes, faces = scene("cut through one another")
    triangles = module.join_meshes(meshes, faces)
    every = module.visible_faces(triangles, K, SIZE, samples=2)
    fronts = module.visible_faces(triangles, K, SIZE, samples=2, hide_backs=True)
    assert (every.keys == fronts.keys).mean() > 0.999  # rays along an edge may differ
    assert (every.keys != 0).any()


def test_broken_vertices_are_left_out(ball):
    vertices, faces = ball([0, 0, 0.5], 0.1)
    whole = rasterise(vertices, faces, K, SIZE)
    vertices[3] = np.nan
    touched = np.flatnonzero((faces == 3).any(1))
    raster = rasterise(vertices, faces, K, SIZE)
    assert not np.isin(raster.face_id, touched).any()
    kept = (whole.face_id >= 0) & ~np.isin(whole.face_id, touched)
    np.testing.assert_array_equal(raster.face_id[kept], whole.face_id[kept])


def test_no_mesh():
    raster = rasterise([], [], K, SIZE)
    assert (raster.face_id == -1).all()
    assert raster.face_id.shape == SIZE[::-1]


def test_errors_are_plain(ball):
    vertices, faces = ball([0, 0, 0.5], 0.1)
    with pytest.raises(HandError, match="one each"):
        rasterise([vertices, vertices], [faces], K, SIZE)
    with pytest.raises(HandError, match="vertex 999"):
        rasterise(vertices, np.array([[0, 1, 999]]), K, SIZE)
    with pytest.raises(HandError, match=r"\(V, 3\)"):
        rasterise([vertices[:, :2]], [faces], K, SIZE)
