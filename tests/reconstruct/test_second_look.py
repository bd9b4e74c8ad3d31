"""A hand that does not point up is looked at again, turned, and comes back where it was."""

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.crops import CropGeometry, crop_hands
from wilor_yolo.geometry import (
    cam_to_crop_translation,
    matrix_to_rotation_6d,
    project_crop,
    rotation_6d_to_matrix,
)
from wilor_yolo.mano.files import load_hand_model
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.reconstruct.network import CoarseHand, NetworkOutput
from wilor_yolo.reconstruct.pointing import pointing, upright_turn
from wilor_yolo.reconstruct.second_look import turn_hands, turned_crops


def _pointing_at(degrees: float) -> np.ndarray:
    keypoints = np.zeros((21, 2))
    radians = np.deg2rad(degrees)
    keypoints[1:] = 10 * np.array([np.sin(radians), -np.cos(radians)])
    return keypoints


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 179.0, -45.0, -135.0])
def test_pointing_counts_clockwise_from_up(degrees):
    assert np.rad2deg(pointing(_pointing_at(degrees)[None]))[0] == pytest.approx(degrees)


def test_hands_that_point_up_are_not_turned():
    keypoints = np.stack([_pointing_at(10), _pointing_at(90), _pointing_at(-14), _pointing_at(-20)])
    np.testing.assert_allclose(np.rad2deg(upright_turn(keypoints)), [0, -90, 0, 20], atol=1e-6)


@pytest.mark.parametrize("is_right", [True, False])
def test_turned_crop_shows_the_hand_upright(is_right):
    """A bright bar that points to the right lies above the middle after the turn."""
    image = np.zeros((200, 300, 3), np.uint8)
    center = np.array([[140.0, 90.0]])
    image[85:96, 140:181] = 255  # from the centre to the right
    flat = CropGeometry(center, np.array([120.0]), np.array([is_right]))
    seen = flat.to_crop(np.array([[[140.0, 90.0]] + [[180.0, 90.0]] * 20]))
    turned = turned_crops(flat, upright_turn(seen))
    crop = crop_hands(image, turned, 96)[0, :, :, 0].astype(float)
    rows, columns = np.nonzero(crop > 128)
    assert rows.max() <= 50 and rows.min() < 20
    assert abs(columns.mean() - 47.5) < 1
    # The points go the same way as the pixels, and back.
    points = turned.to_crop(np.array([[[180.0, 90.0]]]))
    np.testing.assert_allclose(points[0, 0], [0, -1 / 3], atol=1e-9)
    np.testing.assert_allclose(turned.to_image(points)[0, 0], [180, 90], atol=1e-9)


def _posed(layer: HandLayer, rotation: torch.Tensor, cam: torch.Tensor) -> NetworkOutput:
    count = len(rotation)
    pose = torch.eye(3).repeat(count, 15, 1, 1)
    betas = torch.zeros(count, 10)
    mesh = layer(rotation[:, None], pose, betas)
    pose6d = torch.zeros(count, 96)
    pose6d[:, :6] = matrix_to_rotation_6d(rotation)
    return NetworkOutput(
        cam=cam,
        cam_t_crop=cam_to_crop_translation(cam),
        global_orient=rotation,
        hand_pose=pose,
        betas=betas,
        vertices=mesh.vertices,
        joints=mesh.joints,
        keypoints_2d_crop=project_crop(mesh.joints, cam),
        pose6d=pose6d,
        coarse=CoarseHand(cam, pose6d, betas),
    )


def test_turned_hand_is_what_the_hand_model_makes_of_its_parameters():
    layer = HandLayer(load_hand_model())
    rotation = roma.rotvec_to_rotmat(torch.tensor([[0.4, -0.2, 1.0], [2.0, 0.1, -0.3]]))
    cam = torch.tensor([[7.0, 0.02, -0.05], [5.0, -0.1, 0.01]])
    seen = _posed(layer, rotation, cam)
    angle = np.array([0.7, -2.1])
    turned = turn_hands(seen, angle)

    again = _posed(layer, turned.global_orient, turned.cam)
    for name in ("vertices", "joints", "cam_t_crop", "keypoints_2d_crop"):
        torch.testing.assert_close(getattr(turned, name), getattr(again, name), atol=1e-5, rtol=0)
    root = rotation_6d_to_matrix(turned.pose6d[:, :6])
    torch.testing.assert_close(root, turned.global_orient, atol=1e-6, rtol=0)

    # On the screen the hand turned clockwise about the crop's centre.
    cos, sin = np.cos(angle), np.sin(angle)
    screen = np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 1)
    expected = seen.keypoints_2d_crop.numpy() @ screen.transpose(0, 2, 1)
    np.testing.assert_allclose(turned.keypoints_2d_crop.numpy(), expected, atol=1e-6)
