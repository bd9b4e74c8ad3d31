"""The pose correctives as shipped, and the fit that made them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("scipy")

from wilor_yolo.mano.files import HandModel, load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.skeleton import TIP_VERTICES
from wilor_yolo.synth.free_hand.corrections import POSE_STEP, fit_posedirs, joint_reach, main
from wilor_yolo.synth.free_hand.flesh import Flesh, volumes
from wilor_yolo.synth.free_hand.hand_file import mirror_to_left, save_npz
from wilor_yolo.synth.poses import NAMED_POSES, sample_pose
from wilor_yolo.synth.rotations import rotation_matrices
from wilor_yolo.weights_dir import shipped


@pytest.fixture(scope="module")
def hand() -> dict[str, np.ndarray]:
    with np.load(shipped("free_hand/hand_right.npz")) as data:
        return {key: data[key] for key in data.files}


@pytest.fixture(scope="module")
def right() -> HandModel:
    return load_hand_model()


def _plain(model: HandModel) -> HandModel:
    return replace(model, posedirs=np.zeros_like(model.posedirs))


def _posed(model: HandModel, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    turns = torch.tensor(rotation_matrices(poses), dtype=torch.float32)
    mesh = HandLayer(model)(turns[:, 0], turns[:, 1:], torch.zeros(len(poses), 10))
    return mesh.vertices.double().numpy(), mesh.joints.double().numpy()


def _held_out(count: int) -> np.ndarray:
    rng = np.random.default_rng(77)
    return np.stack([sample_pose(rng) for _ in range(count)])


def test_flat_hand_has_none(right):
    flat = np.zeros((1, 16, 3))
    flat[0, 0] = 0.3, -1.0, 0.5
    np.testing.assert_array_equal(_posed(right, flat)[0], _posed(_plain(right), flat)[0])


def test_fist_keeps_more_flesh_than_plain_skinning(right):
    closed = np.concatenate([right.faces, right.wrist_faces])
    poses = np.stack([NAMED_POSES[name] for name in ("fist", "thumbs_up", "pinch")])
    before, after = (volumes(_posed(m, poses)[0], closed) for m in (_plain(right), right))
    rest = volumes(right.v_template[None].astype(float), closed)
    assert (before < 0.95 * rest).all()
    assert (rest - after < 0.8 * (rest - before)).all()


def test_held_out_poses_stretch_the_skin_less(right):
    poses = _held_out(20)
    edges = np.concatenate([right.faces[:, [0, 1]], right.faces[:, [1, 2]]])
    edges = edges[(right.weights.max(1) < 0.97)[edges].any(1)]

    def lengths(vertices: np.ndarray) -> np.ndarray:
        return np.linalg.norm(vertices[:, edges[:, 0]] - vertices[:, edges[:, 1]], axis=-1)

    rest = lengths(right.v_template[None].astype(float))
    before, after = (
        np.log(lengths(_posed(m, poses)[0]) / rest).std(1) for m in (_plain(right), right)
    )
    assert after.mean() < 0.9 * before.mean()
    assert (after < before).mean() > 0.9


def test_joints_and_fingertips_stay(right):
    poses = _held_out(20)
    before, after = _posed(_plain(right), poses), _posed(right, poses)
    np.testing.assert_array_equal(before[1], after[1])
    moved = np.linalg.norm(before[0] - after[0], axis=2)
    assert 0.0003 < moved.mean() < 0.001 and moved.max() < 0.01


def test_a_joint_moves_only_what_is_near(hand, right):
    flesh = Flesh.of_hand(hand)
    reach = joint_reach(flesh)
    assert not reach[:, 0].any() and not reach[list(TIP_VERTICES)].any()
    used = right.posedirs.reshape(778, 3, 15, 9).any((1, 3))
    assert not (used & ~reach[:, 1:]).any()
    assert used.any(0).all()  # every joint has some
    # The last joint of the index finger leaves the other fingers and the palm alone.
    others = right.weights[:, [2, 3]].sum(1) == 0
    pose = np.zeros((1, 16, 3))
    pose[0, 3] = NAMED_POSES["fist"][3]
    moved = np.abs(_posed(right, pose)[0] - _posed(_plain(right), pose)[0])[0].max(1)
    assert moved[others].max() < 1e-4 < moved.max()


def test_left_is_the_mirrored_right(hand, right, tmp_path):
    save_npz(tmp_path / "left.npz", mirror_to_left(hand))
    left = load_hand_model(tmp_path / "left.npz", side="left")
    poses = _held_out(5)
    vertices, joints = _posed(left, poses * np.array([1.0, -1, -1]))
    flip = np.array([-1.0, 1, 1])
    np.testing.assert_allclose(vertices * flip, _posed(right, poses)[0], atol=1e-6)
    np.testing.assert_allclose(joints * flip, _posed(right, poses)[1], atol=1e-6)


def test_fit_is_deterministic(hand):
    flesh = Flesh.of_hand(hand)
    first, again, other = (fit_posedirs(flesh, count=5, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.slow
def test_fit_gives_the_shipped_correctives(hand):
    fitted = fit_posedirs(Flesh.of_hand(hand))
    assert fitted.dtype == np.float16 and hand["posedirs"].dtype == np.float16
    # Another machine may round a number to the next step.
    difference = np.abs(fitted.astype(float) - hand["posedirs"].astype(float)) / POSE_STEP
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_command_rewrites_the_correctives_alone(hand, tmp_path, monkeypatch, capsys):
    path = tmp_path / "hand_right.npz"
    shutil.copy(shipped("free_hand/hand_right.npz"), path)
    new = np.full_like(hand["posedirs"], 0.5)
    monkeypatch.setattr(
        "wilor_yolo.synth.free_hand.corrections.fit_posedirs", lambda flesh, seed: new
    )
    main([str(path)])
    assert str(new.size) in capsys.readouterr().out
    with np.load(path) as data:
        assert set(data.files) == set(hand)
        for key in data.files:
            assert np.array_equal(data[key], new if key == "posedirs" else hand[key]), key
