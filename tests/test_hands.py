"""`Hands`: slices, files, the mirror law, and parameters that pose the very same hand elsewhere."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.errors import HandError
from wilor_yolo.geometry import default_intrinsics, mirror_points, project
from wilor_yolo.hands import SCHEMA, Hands
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.skeleton import MANO_PARENTS
from wilor_yolo.visualize.exports import save_npz


@pytest.fixture(scope="module")
def layer():
    return HandLayer.free()


def _detected(count=3):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 200, (count, 2))
    return Hands(
        bbox_xyxy=np.hstack((corners, corners + 80)).astype(np.float32),
        confidence=rng.random(count).astype(np.float32),
        is_right=np.arange(count) % 2 == 0,
        image_size=(640, 480),
        source="some/where.jpg",
        track_id=np.arange(count) + 7,
        keypoints_2d_detector=rng.uniform(0, 300, (count, 21, 3)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def hands(layer):
    """Three hands, right, left, right, whose 3D fields belong together."""
    detected = _detected()
    generator = torch.Generator().manual_seed(0)
    rotations = roma.rotvec_to_rotmat(torch.randn(3, 16, 3, generator=generator) * 0.4)
    betas = torch.randn(3, 10, generator=generator)
    mesh = layer(rotations[:, :1], rotations[:, 1:], betas)
    vertices, joints = mesh.vertices.numpy().copy(), mesh.joints.numpy().copy()
    left = ~detected.is_right
    vertices[left], joints[left] = mirror_points(vertices[left]), mirror_points(joints[left])
    cam_t = np.array([[0.1, 0.0, 0.8], [-0.2, 0.1, 0.6], [0.0, -0.1, 1.2]], np.float32)
    K = default_intrinsics(640, 480)
    return replace(
        detected,
        vertices=vertices,
        joints=joints,
        keypoints_2d=project(joints + cam_t[:, None], K),
        global_orient=rotations[:, 0].numpy(),
        hand_pose=rotations[:, 1:].numpy(),
        betas=betas.numpy(),
        cam_t=cam_t,
        K=K,
        faces=layer.faces.numpy().astype(np.int32),
    )


def _same(one, other, tolerance=0.0):
    for field in fields(Hands):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert a.shape == b.shape and a.dtype == b.dtype, field.name
            assert np.abs(a.astype(float) - b.astype(float)).max(initial=0) <= tolerance, field.name
        else:
            assert a == b, field.name


# Many and one


def test_length_and_slices(hands):
    assert len(hands) == 3 and hands.reconstructed
    assert len(hands[1]) == len(hands[-1]) == len(hands[np.int64(2)]) == 1
    assert len(hands[:2]) == 2 and len(hands[[2, 0]]) == 2
    assert np.array_equal(hands[[2, 0]].betas, hands.betas[[2, 0]])
    mask = np.array([True, False, True])
    assert np.array_equal(hands[mask].vertices, hands.vertices[mask])
    assert hands[mask].K is hands.K and hands[mask].image_size == (640, 480)
    with pytest.raises(IndexError):
        hands[3]


def test_iteration_gives_hands_of_one(hands):
    ones = list(hands)
    assert [one.side for one in ones] == [["right"], ["left"], ["right"]]
    assert all(len(one) == 1 for one in ones)


def test_empty():
    none = Hands.empty((640, 480), "a.jpg")
    assert len(none) == 0 and not none.reconstructed and list(none) == [] and none.side == []
    _same(Hands.from_dict(none.to_dict()), none)


def test_rows_must_agree():
    with pytest.raises(HandError, match="confidence has 2 rows for 3 boxes"):
        replace(_detected(), confidence=np.zeros(2))
    with pytest.raises(HandError, match="track_id"):
        replace(_detected(), track_id=np.zeros(4, int))


def test_what_is_missing_is_said():
    detected = _detected()
    assert not detected.reconstructed
    for ask in (
        lambda: detected.distance,
        lambda: detected.faces_of(0),
        lambda: detected.camera_vertices(0),
        lambda: detected.to_mano(),
    ):
        with pytest.raises(HandError, match="HandReconstructor"):
            ask()


def test_hands_survive_other_processes(hands):
    _same(pickle.loads(pickle.dumps(hands)), hands)


# Space


def test_hands_read_from_a_line_without_faces_get_those_of_their_model(hands):
    """As in hands.jsonl; see docs/hands-json.md."""
    line = {k: v for k, v in hands.to_dict().items() if k != "faces"}
    read = Hands.from_dict(json.loads(json.dumps(line)))
    with pytest.raises(HandError, match=r"replace\(hands, faces=load_hand_model\(\)") as caught:
        read.faces_of(0)
    assert "\n" not in str(caught.value)
    whole = replace(read, faces=load_hand_model().faces)
    for i in range(3):
        np.testing.assert_array_equal(whole.faces_of(i), hands.faces_of(i))


def _volume(vertices, faces):
    a, b, c = np.moveaxis(vertices[faces].astype(float), 1, 0)
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


def test_faces_look_outwards_for_both_sides(hands):
    for i in range(3):
        middle = hands.vertices[i].mean(0)
        assert _volume(hands.vertices[i] - middle, hands.faces_of(i)) > 1e-5
    assert _volume(hands.vertices[1] - hands.vertices[1].mean(0), hands.faces) < 0


def test_distance_is_that_of_the_wrist(hands):
    wrist = hands.joints[:, 0] + hands.cam_t
    assert np.allclose(hands.distance, np.linalg.norm(wrist, axis=1))
    assert np.allclose(hands.camera_vertices(2), hands.vertices[2] + hands.cam_t[2])


# Parameters for other MANO layers


def _mano(folder, is_right):
    """smplx's own MANO class of one side; the left file is the mirrored right hand."""
    import smplx

    model = load_hand_model()
    flip = np.array([-1, 1, 1], np.float32) if not is_right else np.ones(3, np.float32)
    pose_flip = np.tile(np.outer(flip, flip).reshape(9), 15)
    parents = np.array(MANO_PARENTS, np.int64)
    parents[0] = 2**32 - 1
    data = {
        "v_template": model.v_template * flip,
        "f": (model.faces if is_right else model.faces[:, [0, 2, 1]]).astype(np.uint32),
        "weights": model.weights,
        "J_regressor": model.J_regressor,
        "kintree_table": np.stack((parents, np.arange(16))),
        "shapedirs": model.shapedirs * flip[:, None],
        "posedirs": model.posedirs * flip[:, None] * pose_flip,
        "hands_mean": model.hands_mean,
        "hands_components": np.eye(45, dtype=np.float32),
    }
    path = folder / f"MANO_{'RIGHT' if is_right else 'LEFT'}.pkl"
    path.write_bytes(pickle.dumps(data))
    return smplx.MANO(str(path), is_rhand=is_right, use_pca=False, flat_hand_mean=True)


@pytest.fixture(scope="module")
def mano(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mano")
    return {"right": _mano(folder, True), "left": _mano(folder, False)}


def _pose(layer, parameters):
    numbers = {
        name: torch.from_numpy(np.asarray(getattr(parameters, name), np.float32))[None]
        for name in ("global_orient", "hand_pose", "betas", "transl")
    }
    with torch.no_grad():
        return layer(**numbers).vertices[0].numpy()


def test_own_side_parameters_give_the_very_hands(hands, mano):
    parameters = hands.to_mano()
    assert [p.side for p in parameters] == ["right", "left", "right"]
    for i, p in enumerate(parameters):
        assert p.global_orient.shape == p.transl.shape == (3,)
        assert p.hand_pose.shape == (45,) and p.betas.shape == (10,)
        assert np.abs(_pose(mano[p.side], p) - hands.camera_vertices(i)).max() < 1e-5


def test_parameters_of_hands_of_known_length(hands, mano):
    """Scaled hands are the scaled model, moved."""
    factor = np.array([1.1, 0.8, 1.3], np.float32)
    sized = replace(
        hands,
        vertices=hands.vertices * factor[:, None, None],
        cam_t=hands.cam_t * factor[:, None],
        scale=factor,
    )
    for i, p in enumerate(sized.to_mano()):
        still = replace(p, transl=np.zeros(3, np.float32))
        posed = _pose(mano[p.side], still) * p.scale + p.transl
        assert np.abs(posed - sized.camera_vertices(i)).max() < 1e-5
    assert all(p.scale == 1 for p in hands.to_mano())


@pytest.mark.parametrize("side", ["left", "right"])
def test_parameters_of_a_given_side_give_that_side(hands, mano, side):
    for i, p in enumerate(hands.to_mano(side)):
        assert p.side == side
        wanted = hands.camera_vertices(i)
        if hands.side[i] != side:
            wanted = mirror_points(wanted)
        assert np.abs(_pose(mano[side], p) - wanted).max() < 1e-5


def test_parameters_of_no_side_are_refused(hands):
    with pytest.raises(HandError, match='"left" or "right"'):
        hands.to_mano("Right")


def test_parameters_are_copies(hands):
    before = hands.cam_t.copy()
    hands.to_mano()[0].transl[:] = 0
    assert np.array_equal(hands.cam_t, before)


# Files


def test_json_round_trip(hands, tmp_path):
    path = tmp_path / "hands.json"
    hands.to_json(path)
    back = Hands.from_json(path)
    _same(back, hands, tolerance=1e-4)  # five decimals, of pixels in float32
    assert np.abs(back.vertices - hands.vertices).max() < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == ["hands.json"]
    data = json.loads(path.read_text())
    assert data["schema"] == SCHEMA and data["is_right"] == [True, False, True]
    assert data["scale"] is None and back.scale is None
    sized = replace(hands, scale=np.array([1.0, 1.25, 0.5], np.float32))
    assert np.array_equal(Hands.from_dict(sized.to_dict()).scale, sized.scale)
    # A second trip changes nothing any more.
    assert Hands.from_dict(back.to_dict()).to_dict() == back.to_dict()


def test_detections_alone_round_trip():
    detected = _detected()
    back = Hands.from_dict(json.loads(json.dumps(detected.to_dict())))
    _same(back, detected, tolerance=1e-4)
    assert back.vertices is None and back.track_id.tolist() == [7, 8, 9]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "other/1"}, "schema"),
        ({"schema": None}, "schema"),
        ({"colour": 1}, "colour"),
        ({"bbox_xyxy": None}, "lacks.*bbox_xyxy"),
        ({"bbox_xyxy": [[1, 2, 3]] * 3}, "bbox_xyxy has shape"),
        ({"bbox_xyxy": "abc"}, "bbox_xyxy"),
        ({"confidence": [0.5]}, "confidence"),
        ({"confidence": [[0.5], [0.1], [0.2]]}, "confidence"),
        ({"joints": [[[0.0] * 3] * 20] * 3}, "joints"),
        ({"joints": [[1], [2, 3], [4]]}, "joints"),
        ({"track_id": ["a", "b", "c"]}, "track_id"),
        ({"image_size": [640]}, "image_size"),
        ({"image_size": ["wide", 3]}, "image_size"),
        ({"K": [1, 2, 3]}, "K has shape"),
        ({"faces": [[1, 2], [3, 4]]}, "faces has shape"),
    ],
)
def test_other_data_is_refused_in_one_line(change, said):
    data = {**_detected().to_dict(), **change}
    with pytest.raises(HandError, match=said) as caught:
        Hands.from_dict(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '"text"', "\x00"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "hands.json"
    path.write_text(content)
    with pytest.raises(HandError, match=r"hands\.json"):
        Hands.from_json(path)
    with pytest.raises(HandError, match="none"):
        Hands.from_json(tmp_path / "none.json")


def test_shown_in_one_line(hands):
    assert repr(_detected(1)) == "Hands(1 in 640 x 480 px: right 0.04)"
    shown = repr(hands)
    assert "3 in 640 x 480 px" in shown and "left" in shown and " m" in shown and len(shown) < 120
    assert repr(Hands.empty((3, 2))) == "Hands(0 in 3 x 2 px)"


def test_the_wrist_pose_places_the_hand_of_its_side(hands, layer):
    """The flat hand of either side, moved by the pose, has its knuckles where they are."""
    poses = hands.wrist_pose()
    assert poses.shape == (3, 4, 4)
    eye = torch.eye(3).repeat(1, 15, 1, 1)
    for i in range(len(hands)):
        betas = torch.from_numpy(hands.betas[i : i + 1])
        flat = layer(torch.eye(3)[None], eye, betas).joints[0].numpy()
        if not hands.is_right[i]:
            flat = mirror_points(flat)
        palm = [0, 5, 9, 13, 17]  # turns with the wrist, whatever the fingers do
        there = (flat - flat[0]) @ poses[i, :3, :3].T + poses[i, :3, 3]
        np.testing.assert_allclose(there[palm], hands.camera_joints(i)[palm], atol=1e-4)
    assert Hands.empty((4, 4)).wrist_pose().shape == (0, 4, 4)


def test_no_hands_rebuilt_have_arrays_of_no_rows(hands):
    none = Hands.empty((640, 480)).reconstructed_none(hands.K, hands.faces)
    assert none.reconstructed and none.vertices.shape == (0, 778, 3)
    assert (none.joints + none.cam_t[:, None]).shape == (0, 21, 3) and none.distance.shape == (0,)
    _same(Hands.from_dict(json.loads(json.dumps(none.to_dict()))), none)


def test_npz_and_back(hands, tmp_path):
    _same(Hands.from_npz(save_npz(hands, tmp_path / "h.npz")), hands)
    detected = _detected()
    _same(Hands.from_npz(save_npz(detected, tmp_path / "d.npz")), detected)
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(HandError, match="cannot read hands from"):
        Hands.from_npz(tmp_path / "bad.npz")


def test_chosen_by_any_kind_of_index(hands):
    for index in ([0, 2], np.array([0, 2]), torch.tensor([0, 2]), np.array([True, False, True])):
        np.testing.assert_array_equal(hands[index].betas, hands.betas[[0, 2]])
    assert len(hands[[]]) == 0 and len(hands[torch.tensor(1)]) == 1
