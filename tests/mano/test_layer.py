"""The hand layer: against smplx's own MANO classes, its joints, and the mirrored hand."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.geometry import mirror_axis_angle, mirror_points
from wilor_yolo.mano.files import HandModel, load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.reconstruct.released import load_released_hand_model
from wilor_yolo.skeleton import JOINT_NAMES, MANO_JOINT_NAMES, MANO_PARENTS, TIP_VERTICES

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "released"


@pytest.fixture(scope="module")
def free():
    return HandLayer.free()


def _random_pose(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    axis_angle = torch.randn(count, 16, 3, generator=rng) * 0.4
    return axis_angle, torch.randn(count, 10, generator=rng)


def _smplx_layer(model: HandModel, folder: Path, is_right: bool):
    """The same hand in smplx's own class, read from a file as smplx reads it."""
    import smplx

    parents = np.array(MANO_PARENTS, np.int64)
    parents[0] = 2**32 - 1
    data = {
        "v_template": model.v_template,
        "f": model.faces.astype(np.uint32),
        "weights": model.weights,
        "J_regressor": model.J_regressor,
        "kintree_table": np.stack((parents, np.arange(16))),
        "shapedirs": model.shapedirs,
        "posedirs": model.posedirs,
        "hands_mean": model.hands_mean,
        "hands_components": np.eye(45, dtype=np.float32),
    }
    path = folder / f"MANO_{'RIGHT' if is_right else 'LEFT'}.pkl"
    path.write_bytes(pickle.dumps(data))
    return smplx.MANO(str(path), is_rhand=is_right, use_pca=False, flat_hand_mean=True)


@pytest.mark.parametrize("source", ["free", "released"])
def test_vertices_and_joints_are_those_of_smplx(source, tmp_path):
    model = (
        load_hand_model()
        if source == "free"
        else load_released_hand_model(FIXTURES / "official_tiny.ckpt")
    )
    theirs = _smplx_layer(model, tmp_path, is_right=True)
    axis_angle, betas = _random_pose(3)
    rotations = roma.rotvec_to_rotmat(axis_angle)
    ours = HandLayer(model)(rotations[:, :1], rotations[:, 1:], betas)
    expected = theirs(
        betas=betas, global_orient=axis_angle[:, 0], hand_pose=axis_angle[:, 1:].flatten(1)
    )
    scale = expected.vertices.abs().max()
    assert (ours.vertices - expected.vertices).abs().max() < 1e-5 * scale
    wrist, thumb1 = ours.joints[:, 0], ours.joints[:, 1]
    assert (wrist - expected.joints[:, 0]).abs().max() < 1e-5 * scale
    assert (thumb1 - expected.joints[:, 13]).abs().max() < 1e-5 * scale


def test_mirrored_parameters_pose_the_left_model(tmp_path):
    """(x, -y, -z) for every joint on the mirrored model is the mirrored hand."""
    right = load_hand_model()
    flip = np.array([-1, 1, 1], np.float32)
    pose_flip = np.tile(np.outer(flip, flip).reshape(9), 15)  # a mirrored rotation, entry by entry
    left = HandModel(
        v_template=right.v_template * flip,
        faces=right.faces[:, [0, 2, 1]],
        weights=right.weights,
        J_regressor=right.J_regressor,
        shapedirs=right.shapedirs * flip[:, None],
        posedirs=right.posedirs * flip[:, None] * pose_flip,
        hands_mean=mirror_axis_angle(right.hands_mean.reshape(15, 3)).reshape(45),
        hands_components=right.hands_components,
        side="left",
    )
    axis_angle, betas = _random_pose(2, seed=1)
    rotations = roma.rotvec_to_rotmat(axis_angle)
    expected = HandLayer(right)(rotations[:, :1], rotations[:, 1:], betas)
    mirrored = torch.from_numpy(mirror_axis_angle(axis_angle.numpy()))
    theirs = _smplx_layer(left, tmp_path, is_right=False)(
        betas=betas, global_orient=mirrored[:, 0], hand_pose=mirrored[:, 1:].flatten(1)
    )
    wanted = mirror_points(expected.vertices.numpy())
    assert np.abs(theirs.vertices.detach().numpy() - wanted).max() < 1e-6


def test_flat_hand_stands_in_its_template(free):
    eye = torch.eye(3).expand(1, 16, 3, 3)
    mesh = free(eye[:, :1], eye[:, 1:], torch.zeros(1, 10))
    assert torch.allclose(mesh.vertices[0], free.v_template, atol=1e-6)
    mano = free.J_regressor @ free.v_template
    for name, place in zip(MANO_JOINT_NAMES, mano, strict=True):
        assert torch.allclose(mesh.joints[0, JOINT_NAMES.index(name)], place, atol=1e-6), name
    for finger, vertex in zip(
        ("thumb", "index", "middle", "ring", "pinky"), TIP_VERTICES, strict=True
    ):
        tip = mesh.joints[0, JOINT_NAMES.index(f"{finger}4")]
        assert torch.equal(tip, mesh.vertices[0, vertex])


def test_fingers_get_longer_from_joint_to_tip(free):
    eye = torch.eye(3).expand(1, 16, 3, 3)
    joints = free(eye[:, :1], eye[:, 1:], torch.zeros(1, 10)).joints[0]
    for finger in range(1, 5):
        reach = (joints[1 + 4 * finger : 5 + 4 * finger] - joints[0]).norm(dim=-1)
        assert (reach.diff() > 0.01).all()


def test_global_rotation_turns_the_whole_hand(free):
    axis_angle, betas = _random_pose(1, seed=2)
    rotations = roma.rotvec_to_rotmat(axis_angle)
    turn = roma.rotvec_to_rotmat(torch.tensor([[0.3, -1.0, 0.5]]))
    before = free(rotations[:, :1], rotations[:, 1:], betas)
    after = free(turn @ rotations[:, 0], rotations[:, 1:], betas)  # (B, 3, 3) works as well
    wrist = before.joints[:, :1]
    wanted = (before.vertices - wrist) @ turn.transpose(1, 2) + wrist
    assert torch.allclose(after.vertices, wanted, atol=1e-6)


def test_gradients_reach_every_parameter(free):
    axis_angle, betas = _random_pose(1, seed=3)
    rotations = roma.rotvec_to_rotmat(axis_angle).requires_grad_()
    betas.requires_grad_()
    mesh = free(rotations[:, :1], rotations[:, 1:], betas)
    mesh.vertices.square().sum().backward()
    assert (rotations.grad.flatten(2).norm(dim=-1) > 0).all() and (betas.grad != 0).all()


def test_the_hand_stays_out_of_state_dicts_and_moves_with_the_module(free):
    assert not free.state_dict()
    half = HandLayer.free().double()
    eye = torch.eye(3, dtype=torch.float64).expand(1, 16, 3, 3)
    mesh = half(eye[:, :1], eye[:, 1:], torch.zeros(1, 10, dtype=torch.float64))
    assert mesh.vertices.dtype == torch.float64
