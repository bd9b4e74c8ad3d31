from __future__ import annotations

import numpy as np

from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.render.surface import face_normals, hole_faces, vertex_normals


def test_normals_point_outward(ball):
    vertices, faces = ball([1.0, 2.0, 3.0], 0.5)
    outward = vertices - [1.0, 2.0, 3.0]
    assert (np.einsum("fi,fi->f", face_normals(vertices, faces), outward[faces].mean(1)) > 0).all()
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1)
    assert (np.einsum("vi,vi->v", normals, outward / 0.5) > 0.97).all()


def test_face_normals_are_twice_the_area():
    vertices = np.array([[0.0, 0, 0], [2, 0, 0], [0, 3, 0]])
    np.testing.assert_allclose(face_normals(vertices, np.array([[0, 1, 2]])), [[0, 0, 6]])


def test_a_lonely_vertex_has_no_normal():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9]])
    np.testing.assert_array_equal(
        vertex_normals(vertices, np.array([[0, 1, 2]])), [[0, 0, 1]] * 3 + [[0, 0, 0]]
    )


def directed_edges(faces):
    return [tuple(edge) for i in range(3) for edge in faces[:, [i, i - 2]].tolist()]


def test_holes_are_closed_with_the_winding_of_their_neighbours(ball):
    vertices, faces = ball([0, 0, 0], 1.0)
    assert hole_faces(faces).shape == (0, 3)
    # Take off both poles: two holes of 12 corners, 10 triangles each.
    poles = (faces >= len(vertices) - 2).any(1)
    cut = faces[~poles]
    caps = hole_faces(cut)
    assert len(caps) == 20
    edges = directed_edges(np.concatenate([cut, caps]))
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges)
    outward = face_normals(vertices, caps)[:, 2] * vertices[caps].mean(1)[:, 2]
    assert (outward > 0).all()


def test_the_fan_avoids_diagonals_that_are_edges_already():
    # A square hole; vertices 0 and 2 are joined by a ridge behind it.
    faces = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 5], [3, 0, 5], [0, 4, 2], [0, 2, 5]])
    caps = hole_faces(faces)
    edges = directed_edges(np.concatenate([faces, caps]))
    assert len(set(edges)) == len(edges), "an edge with three faces"
    assert {(b, a) for a, b in edges} == set(edges)


def test_the_shipped_hand_is_closed_at_the_wrist():
    model = load_hand_model()
    caps = hole_faces(model.faces)
    assert len(caps) == 14
    edges = directed_edges(np.concatenate([model.faces, caps]))
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges)
    assert set(caps.ravel().tolist()) == set(model.wrist_faces.ravel().tolist())
