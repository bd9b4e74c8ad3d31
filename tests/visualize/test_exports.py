from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from wilor_yolo.errors import HandError
from wilor_yolo.hands import Hands
from wilor_yolo.skeleton import LEFT, RIGHT, SIDE_COLOURS
from wilor_yolo.visualize.annotators import MeshAnnotator
from wilor_yolo.visualize.exports import (
    FORMATS,
    save,
    save_glb,
    save_json,
    save_npz,
    save_obj,
    save_ply,
)

NAMES = ["hand_0_left", "hand_1_right", "hand_2_right"]


def in_opengl(hands: Hands, i: int) -> np.ndarray:
    return hands.camera_vertices(i) * [1, -1, -1]


def outward(normals: np.ndarray, vertices: np.ndarray) -> None:
    """Unit normals of a bowl around a ball's middle, but for vertices without a face."""
    known = np.linalg.norm(normals, axis=1) > 0
    ring = vertices[known]
    middle = (ring.min(0) + ring.max(0)) / 2
    assert known.sum() > 700
    assert ((normals[known] * (ring - middle)).sum(1) > 0).mean() > 0.9


def load(path) -> trimesh.Scene:
    return trimesh.load_scene(path, process=False)


def test_glb_comes_back(hands, tmp_path):
    scene = load(save_glb(hands, tmp_path / "hands.glb"))
    assert set(NAMES) <= set(scene.graph.nodes_geometry)
    for i, name in enumerate(NAMES):
        transform, geometry = scene.graph[name]
        mesh = scene.geometry[geometry]
        np.testing.assert_array_equal(transform, np.eye(4))
        assert mesh.vertices.shape == (778, 3)
        np.testing.assert_allclose(mesh.vertices, in_opengl(hands, i), atol=1e-6)
        assert mesh.is_watertight, "the wrist is closed"
        assert mesh.volume > 0, "faces look outward on both sides"
        assert (mesh.vertices[mesh.faces][..., 2] < 0).all(), (
            "in front of a camera that looks along -z"
        )
    left, right = (scene.geometry[scene.graph[name][1]].visual.material for name in NAMES[:2])
    for material, side in ((left, LEFT), (right, RIGHT)):  # glTF's colours are linear
        linear = [((c / 255 + 0.055) / 1.055) ** 2.4 for c in SIDE_COLOURS[side]]
        np.testing.assert_allclose(material.baseColorFactor[:3] / 255, linear, atol=0.01)
    assert left.metallicFactor == 0


def test_glb_starts_as_the_standard_says(hands, tmp_path):
    data = save_glb(hands, tmp_path / "hands.glb").read_bytes()
    assert data[:4] == b"glTF"
    assert int.from_bytes(data[4:8], "little") == 2
    assert int.from_bytes(data[8:12], "little") == len(data)
    length = int.from_bytes(data[12:16], "little")
    tree = json.loads(data[20 : 20 + length])
    primitive = tree["meshes"][0]["primitives"][0]
    assert {"POSITION", "NORMAL"} <= set(primitive["attributes"])
    view = tree["bufferViews"][tree["accessors"][primitive["attributes"]["NORMAL"]]["bufferView"]]
    start = 20 + length + 8 + view.get("byteOffset", 0)
    normals = np.frombuffer(data[start : start + view["byteLength"]], "<f4").reshape(-1, 3)
    outward(normals, in_opengl(hands, 0))


def test_open_wrist(hands, tmp_path):
    scene = load(save_glb(hands, tmp_path / "hands.glb", close_wrist=False))
    for mesh in scene.geometry.values():
        assert len(mesh.faces) == len(hands.faces)
        assert not mesh.is_watertight


def test_obj_comes_back(hands, tmp_path):
    path = save_obj(hands, tmp_path / "hands.obj")
    text = path.read_text().splitlines()
    assert [line[2:] for line in text if line.startswith("o ")] == NAMES
    vertices = np.array([line.split()[1:] for line in text if line.startswith("v ")], float)
    assert vertices.shape == (3 * 778, 6)
    for i in range(3):
        part = vertices[778 * i : 778 * (i + 1)]
        np.testing.assert_allclose(part[:, :3], in_opengl(hands, i), atol=1e-6)
    assert vertices[0, 5] > vertices[0, 3]  # left: blue
    assert vertices[778, 3] > vertices[778, 5]  # right: orange
    normals = np.array([line.split()[1:] for line in text if line.startswith("vn ")], float)
    outward(normals[:778], in_opengl(hands, 0))
    faces = [line.split()[1:] for line in text if line.startswith("f ")]
    corners = np.array([[int(c.split("//")[0]) for c in face] for face in faces])
    assert corners.min() == 1
    assert corners.max() <= 3 * 778
    mesh = trimesh.Trimesh(vertices[:, :3], corners - 1, process=False)
    assert all(part.volume > 0 for part in mesh.split(only_watertight=True))
    assert len(mesh.split(only_watertight=True)) == 3


def test_ply_comes_back(hands, tmp_path):
    mesh = trimesh.load_mesh(save_ply(hands, tmp_path / "hands.ply"), process=False)
    assert mesh.vertices.shape == (3 * 778, 3)
    for i in range(3):
        part = slice(778 * i, 778 * (i + 1))
        np.testing.assert_allclose(mesh.vertices[part], in_opengl(hands, i), atol=1e-6)
    parts = mesh.split(only_watertight=True)
    assert len(parts) == 3
    assert all(part.volume > 0 for part in parts)
    colours = mesh.visual.vertex_colors
    assert colours[0, 2] > colours[0, 0]
    assert colours[778, 0] > colours[778, 2]


def test_json_and_npz(hands, tmp_path):
    back = Hands.from_json(save_json(hands, tmp_path / "hands.json"))
    np.testing.assert_allclose(back.vertices, hands.vertices, atol=1e-5)
    with np.load(save_npz(hands, tmp_path / "hands.npz"), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["vertices"], hands.vertices)
        np.testing.assert_array_equal(archive["image_size"], hands.image_size)
        assert "track_id" not in archive
        assert str(archive["source"]) == "hands.jpg"


@pytest.mark.parametrize("ending", FORMATS)
def test_the_ending_chooses_the_format_and_nothing_is_left_over(ending, hands, tmp_path):
    path = tmp_path / f"hands{ending.upper()}"
    assert save(hands, path) == path
    assert path.stat().st_size > 0
    assert list(tmp_path.iterdir()) == [path]


def test_hands_without_a_mesh(detected, nobody, tmp_path):
    for ending in (".glb", ".obj", ".ply"):
        with pytest.raises(HandError, match="HandReconstructor"):
            save(detected, tmp_path / f"hands{ending}")
        with pytest.raises(HandError, match="no hand"):
            save(nobody, tmp_path / f"hands{ending}")
    assert not list(tmp_path.iterdir())
    for ending in (".json", ".npz"):
        assert save(nobody, tmp_path / f"hands{ending}").exists()


def test_hands_read_from_a_line_without_faces(hands, picture, tmp_path):
    line = {k: v for k, v in hands.to_dict().items() if k != "faces"}
    read = Hands.from_dict(line)
    for use in (lambda: save_glb(read, tmp_path / "a.glb"), lambda: _drawn(read, picture)):
        with pytest.raises(HandError, match="replace"):
            use()
    whole = replace(read, faces=hands.faces)
    assert len(load(save_glb(whole, tmp_path / "a.glb")).geometry) == 3
    drawn, expected = _drawn(whole, picture), _drawn(hands, picture)
    assert (expected != picture).any()
    assert np.abs(drawn.astype(float) - expected).mean() < 0.5  # five decimals


def _drawn(hands: Hands, picture: np.ndarray) -> np.ndarray:
    return MeshAnnotator().annotate(picture.copy(), hands)


def test_errors_are_plain(hands, tmp_path):
    with pytest.raises(HandError, match=r"\.glb, \.obj, \.ply"):
        save(hands, tmp_path / "hands.fbx")
    (tmp_path / "file").write_text("")
    for name in ("hands.glb", "hands.json"):
        with pytest.raises(HandError, match=r"cannot write .*"):
            save(hands, tmp_path / "file" / name)
        assert save(hands, tmp_path / "missing" / name).is_file()  # its folder is made
