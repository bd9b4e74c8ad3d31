"""Other programs' conventions, each against its own definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.errors import HandError
from wilor_yolo.geometry import default_intrinsics, mirror_points, mirror_rotation, project
from wilor_yolo.hands import Hands
from wilor_yolo.mano.layer import HandLayer

SIZE = (640, 480)


@pytest.fixture(scope="module")
def hands():
    """Right, left, right."""
    layer, generator = HandLayer.free(), torch.Generator().manual_seed(3)
    rotations = roma.rotvec_to_rotmat(torch.randn(3, 16, 3, generator=generator) * 0.4)
    mesh = layer(rotations[:, :1], rotations[:, 1:], torch.randn(3, 10, generator=generator))
    joints = mesh.joints.numpy().copy()
    joints[1] = mirror_points(joints[1])
    cam_t = np.array([[0.1, 0.0, 0.8], [-0.2, 0.1, 0.6], [0.0, -0.1, 1.2]], np.float32)
    K = default_intrinsics(*SIZE)
    return Hands(
        bbox_xyxy=np.zeros((3, 4), np.float32),
        confidence=np.ones(3, np.float32),
        is_right=np.array([True, False, True]),
        image_size=SIZE,
        vertices=mesh.vertices.numpy(),
        joints=joints,
        keypoints_2d=project(joints + cam_t[:, None], K),
        global_orient=rotations[:, 0].numpy(),
        hand_pose=rotations[:, 1:].numpy(),
        betas=np.zeros((3, 10), np.float32),
        cam_t=cam_t,
        K=K,
    )


def _matrix(axis_angle):
    return roma.rotvec_to_rotmat(torch.from_numpy(np.asarray(axis_angle))).numpy()


# SMPL-X


def test_smplx_fingers_are_those_of_mano(hands):
    for body, mano in zip(hands.to_smplx(), hands.to_mano(), strict=True):
        assert body.side == mano.side and body.hand_pose.shape == (45,)
        assert np.array_equal(body.hand_pose, mano.hand_pose)
        assert np.array_equal(body.wrist, mano.global_orient)


def test_smplx_wrist_on_its_forearm_is_the_hand_in_the_camera(hands):
    forearm = roma.random_rotmat(3).numpy().astype(np.float32)
    for i, body in enumerate(hands.to_smplx(forearm)):
        orient = hands.global_orient[i]
        wanted = orient if hands.is_right[i] else mirror_rotation(orient)
        assert np.allclose(forearm[i] @ _matrix(body.wrist), wanted, atol=1e-5)
    one = hands.to_smplx(forearm[0])[0]
    assert np.allclose(one.wrist, hands.to_smplx(forearm)[0].wrist, atol=1e-6)


def test_mirrored_bodies_have_mirrored_wrists(hands):
    """The mirror law: the mirrored forearm under the mirrored hand."""
    forearm = roma.random_rotmat(3).numpy().astype(np.float32)
    mirrored = replace(hands, is_right=~hands.is_right, joints=mirror_points(hands.joints))
    for one, other in zip(
        hands.to_smplx(forearm), mirrored.to_smplx(mirror_rotation(forearm)), strict=True
    ):
        assert {one.side, other.side} == {"left", "right"}
        assert np.allclose(mirror_rotation(_matrix(one.wrist)), _matrix(other.wrist), atol=1e-5)
        assert np.allclose(one.hand_pose * np.tile([1, -1, -1], 15), other.hand_pose)


def test_wrong_forearms_are_refused(hands):
    with pytest.raises(HandError, match=r"forearm must be \(3, 3\) or \(3, 3, 3\)"):
        hands.to_smplx(np.eye(4))


# MediaPipe


def test_mediapipe_landmarks_of_the_picture(hands):
    landmarks = hands.to_mediapipe().landmarks
    assert landmarks.shape == (3, 21, 3)
    # MediaPipe counts from the picture's border, keypoints from the middle of the first pixel.
    assert np.allclose(landmarks[..., :2] * SIZE, hands.keypoints_2d + 0.5, atol=1e-3)
    assert (landmarks[:, 0, 2] == 0).all()
    nearer = hands.joints[..., 2] < hands.joints[:, :1, 2]
    assert (landmarks[..., 2][nearer] < 0).all()
    # A step in depth has the length that the same step sideways would have at the wrist.
    wrist = hands.joints[1, 0] + hands.cam_t[1]
    step = hands.joints[1, 8, 2] - hands.joints[1, 0, 2]
    for K in (hands.K, hands.K * np.array([[1], [1.5], [1]])):  # x alone counts
        z = replace(hands, K=K).to_mediapipe().landmarks[1, 8, 2]
        aside = project(np.stack((wrist, wrist + np.array([step, 0, 0]))), K)
        assert z == pytest.approx((aside[1] - aside[0])[0] / SIZE[0], abs=1e-5)


def test_mediapipe_world_landmarks(hands):
    found = hands.to_mediapipe()
    assert np.allclose(found.world_landmarks.mean(1), 0, atol=1e-6)
    shift = hands.joints - found.world_landmarks
    assert np.allclose(shift, shift[:, :1], atol=1e-6)
    assert found.side == ["right", "left", "right"]


def test_wrist_landmarks_go_with_the_palm(hands):
    """They are the hand posed without its orientation, whichever way it was turned."""
    layer = HandLayer.free()
    eye, pose = torch.eye(3).expand(3, 3, 3), torch.from_numpy(hands.hand_pose)
    generator = torch.Generator().manual_seed(3)
    torch.randn(3, 16, 3, generator=generator)
    with torch.no_grad():
        still = layer(eye, pose, torch.randn(3, 10, generator=generator)).joints.numpy()
    wanted = still - still[:, :1]
    wanted[1] = mirror_points(wanted[1])
    assert np.allclose(hands.to_mediapipe().wrist_landmarks, wanted, atol=1e-5)


@pytest.mark.parametrize("is_right", [True, False])
def test_a_flat_hand_lies_as_it_is_said_to(hands, is_right):
    layer = HandLayer.free()
    with torch.no_grad():
        mesh = layer(torch.eye(3)[None], torch.eye(3).expand(1, 15, 3, 3), torch.zeros(1, 10))
    joints = mesh.joints.numpy() if is_right else mirror_points(mesh.joints.numpy())
    orient = roma.random_rotmat(1).numpy().astype(np.float32)
    own = orient if is_right else mirror_rotation(orient)
    flat = replace(
        hands[0],
        is_right=np.array([is_right]),
        joints=(joints - joints[:, :1]) @ own.transpose(0, 2, 1),
        global_orient=orient,
    )
    points = flat.to_mediapipe().wrist_landmarks[0]
    assert np.sign(points[12, 0]) == (-1 if is_right else 1)  # fingers
    assert points[2, 2] > points[17, 2]  # the thumb's side
    assert abs(points[12, 1]) < 0.02 < abs(points[12, 0])


def test_no_hands_have_no_landmarks():
    none = Hands.empty(SIZE)
    assert none.to_mediapipe().landmarks.shape == (0, 21, 3)
    assert none.to_mano() == [] and none.to_smplx() == [] and none.to_smplx(np.eye(3)) == []
    assert none.distance.shape == (0,)


def test_detections_have_none(hands):
    detected = Hands(hands.bbox_xyxy, hands.confidence, hands.is_right, SIZE)
    for ask in (detected.to_smplx, detected.to_mediapipe, detected.joint_angles):
        with pytest.raises(HandError, match="HandReconstructor"):
            ask()
