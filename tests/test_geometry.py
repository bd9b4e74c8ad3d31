"""Rotations, mirrors and cameras: round trips, and what they must do to a real hand."""

from __future__ import annotations

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.geometry import (
    CROP_FOCAL,
    cam_to_crop_translation,
    crop_to_full_translation,
    default_intrinsics,
    fit_translation,
    full_to_crop_cam,
    matrix_to_rotation_6d,
    mirror_axis_angle,
    mirror_points,
    mirror_rotation,
    onto_optical_axis,
    project,
    project_crop,
    released_intrinsics,
    rotation_6d_to_matrix,
)
from wilor_yolo.mano.layer import HandLayer


def _rotations(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return roma.rotvec_to_rotmat(
        torch.randn(count, 3, generator=generator, dtype=torch.float64) * 2
    )


def _cam_for(height_in_crop, height):
    """Crop camera under which something `height` metres high fills a share of the crop."""
    return 2 * height_in_crop / height


@pytest.fixture(scope="module")
def open_hand():
    """(21, 3) joints of the shipped hand, flat, facing the camera."""
    layer = HandLayer.free()
    eye = torch.eye(3).expand(1, 16, 3, 3)
    joints = layer(eye[:, :1], eye[:, 1:], torch.zeros(1, 10)).joints[0].numpy().astype(float)
    order = np.argsort(np.ptp(joints, axis=0))  # thin (palm normal), wide, long
    return (joints - joints.mean(0))[:, [order[1], order[2], order[0]]]


# Rotations


def test_6d_round_trip():
    matrices = _rotations(50)
    back = rotation_6d_to_matrix(matrix_to_rotation_6d(matrices))
    assert torch.allclose(back, matrices, atol=1e-12)


def test_6d_numbers_are_two_columns_in_a_row():
    matrix = _rotations(1)[0]
    numbers = matrix_to_rotation_6d(matrix)
    assert torch.equal(numbers[:3], matrix[:, 0]) and torch.equal(numbers[3:], matrix[:, 1])


def test_any_6d_numbers_become_rotations():
    generator = torch.Generator().manual_seed(1)
    matrices = rotation_6d_to_matrix(torch.randn(200, 6, generator=generator, dtype=torch.float64))
    eye = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(matrices @ matrices.transpose(1, 2), eye.expand(200, 3, 3), atol=1e-10)
    assert torch.allclose(torch.linalg.det(matrices), torch.ones(200, dtype=torch.float64))


def test_6d_keeps_the_direction_of_the_first_vector_whatever_its_length():
    numbers = torch.tensor([[2.0, 0, 0, 5.0, 3.0, 0]])
    assert torch.allclose(rotation_6d_to_matrix(numbers), torch.eye(3)[None])


def test_6d_has_gradients():
    numbers = torch.randn(4, 6, requires_grad=True)
    rotation_6d_to_matrix(numbers)[..., 0, 1].sum().backward()
    assert torch.isfinite(numbers.grad).all() and numbers.grad.abs().sum() > 0


# The mirror law


@pytest.mark.parametrize("seed", range(5))
def test_mirrors_undo_themselves(seed):
    rng = np.random.default_rng(seed)
    points, pixels = rng.normal(size=(7, 3)), rng.uniform(-50, 700, (7, 2))
    matrices = _rotations(7, seed).numpy()
    vectors = rng.normal(size=(7, 3))
    assert np.array_equal(mirror_points(mirror_points(points)), points)
    assert np.allclose(mirror_points(mirror_points(pixels, 640), 640), pixels, atol=1e-12)
    assert np.array_equal(mirror_rotation(mirror_rotation(matrices)), matrices)
    assert np.array_equal(mirror_axis_angle(mirror_axis_angle(vectors)), vectors)


def test_mirrors_leave_their_arguments_alone():
    points = np.ones((2, 3))
    mirror_points(points)
    mirror_points(points[:, :2], 10)
    assert np.array_equal(points, np.ones((2, 3)))


@pytest.mark.parametrize("seed", range(5))
def test_a_turned_point_mirrors_to_the_mirrored_turn_of_the_mirrored_point(seed):
    points = np.random.default_rng(seed).normal(size=(20, 3))
    for matrix in _rotations(4, seed).numpy():
        mirrored = mirror_points(points) @ mirror_rotation(matrix).T
        assert np.allclose(mirrored, mirror_points(points @ matrix.T))
        assert np.linalg.det(mirror_rotation(matrix)) == pytest.approx(1)


def test_axis_angle_and_matrices_mirror_alike():
    vectors = torch.randn(30, 3, dtype=torch.float64)
    from_vectors = roma.rotvec_to_rotmat(torch.from_numpy(mirror_axis_angle(vectors.numpy())))
    from_matrices = mirror_rotation(roma.rotvec_to_rotmat(vectors).numpy())
    assert np.allclose(from_vectors.numpy(), from_matrices)


def test_mirrored_pixels_are_those_of_the_mirrored_picture():
    picture = np.arange(12).reshape(3, 4)
    flipped = picture[:, ::-1]
    for y in range(3):
        for x in range(4):
            mx, my = mirror_points(np.array([x, y]), 4)
            assert flipped[my, mx] == picture[y, x]


def test_a_mirrored_scene_is_seen_in_mirrored_pixels():
    points = np.random.default_rng(0).normal(size=(30, 3)) * 0.1 + [0.1, 0, 1]
    for width, height in ((640, 480), (481, 641)):
        K = default_intrinsics(width, height).astype(float)
        seen = project(mirror_points(points), K)
        assert np.allclose(seen, mirror_points(project(points, K), width), atol=1e-3)


# Cameras


def test_the_optical_axis_meets_the_middle_of_the_picture():
    K = default_intrinsics(641, 481)
    assert project(np.array([[0.0, 0.0, 2.0]]), K)[0].tolist() == [320.0, 240.0]


def test_default_camera_sees_53_degrees_along_the_longer_side():
    for size in ((640, 480), (480, 640)):
        K = default_intrinsics(*size)
        assert K[0, 0] == K[1, 1] == 640
        assert 2 * np.degrees(np.arctan(320 / K[0, 0])) == pytest.approx(53.13, abs=0.01)
    assert default_intrinsics(640, 480, focal=900.0)[0, 0] == 900


def test_crop_camera_projects_as_a_translated_hand():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3, 9, 3, generator=generator) * 0.05
    cam = torch.tensor([[5.0, 0.01, -0.02], [8.0, -0.05, 0.03], [3.0, 0.0, 0.0]])
    placed = points + cam_to_crop_translation(cam)[:, None]
    wanted = placed[..., :2] / placed[..., 2:] * CROP_FOCAL
    assert torch.allclose(project_crop(points, cam), wanted)


def test_scale_is_crop_sides_over_two_metres():
    """s = 2: one metre fills the crop (in weak perspective)."""
    points = torch.tensor([[[-0.05, 0.0, 0.0], [0.05, 0.0, 0.0]]])
    seen = project_crop(points, torch.tensor([[2.0, 0.0, 0.0]]))
    assert (seen[0, 1, 0] - seen[0, 0, 0]).item() == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_crop_and_full_cameras_undo_each_other(seed):
    rng = np.random.default_rng(seed)
    cam = np.stack((rng.uniform(2, 12, 8), *rng.normal(0, 0.05, (2, 8))), -1)
    center, side = rng.uniform(0, 640, (8, 2)), rng.uniform(40, 500, 8)
    K = np.array([[700.0, 0, 300], [0, 650, 260], [0, 0, 1]])
    there = crop_to_full_translation(cam, center, side, K)
    assert np.allclose(full_to_crop_cam(there, center, side, K), cam, atol=1e-8)
    again = crop_to_full_translation(full_to_crop_cam(there, center, side, K), center, side, K)
    assert np.allclose(again, there)


@pytest.mark.parametrize(
    ("center", "limit"), [((319.5, 239.5), 0.02), ((80.0, 60.0), 0.05), ((600.0, 470.0), 0.08)]
)
def test_both_cameras_see_the_hand_in_the_same_place(open_hand, center, limit):
    """To a small share of its size: the crop camera is nearly orthographic and looks straight."""
    K = default_intrinsics(640, 480).astype(float)
    center, side = np.array([center]), np.array([180.0])
    cam = np.array([[7.0, 0.005, -0.01]])
    crop_units = project_crop(torch.from_numpy(open_hand)[None], torch.from_numpy(cam)).numpy()[0]
    in_crop = crop_units * side + center[0]
    cam_t = crop_to_full_translation(cam, center, side, K)
    in_picture = project(open_hand + cam_t, K)
    assert np.abs(in_picture - in_crop).max() < limit * np.ptp(in_crop[:, 1])


def test_a_hand_of_120_px_in_a_640_px_picture_is_about_a_metre_away(open_hand):
    height = np.ptp(open_hand[:, 1])  # wrist joint to the tip of the middle finger
    assert 0.17 < height < 0.19, "the shipped hand is as long as a hand"
    side = 1.5 * 120
    cam = np.array([[_cam_for(120 / side, height), 0.0, 0.0]])
    center, side = np.array([[400.0, 200.0]]), np.array([side])
    cam_t = crop_to_full_translation(cam, center, side, default_intrinsics(640, 480))[0]
    assert 0.85 < cam_t[2] < 1.15
    seen = project(open_hand + cam_t, default_intrinsics(640, 480).astype(float))
    assert np.ptp(seen[:, 1]) == pytest.approx(120, rel=0.05)
    # The released camera says of the same hand that it is almost twenty metres away.
    far = crop_to_full_translation(cam, center, side, released_intrinsics(640, 480))[0]
    assert far[2] / cam_t[2] == pytest.approx(CROP_FOCAL)
    assert far[2] > 15


@pytest.mark.parametrize("distance", [0.15, 0.5, 3.0])
def test_a_hand_is_placed_exactly_by_its_pixels(open_hand, distance):
    K = np.array([[700.0, 0, 300], [0, 650, 260], [0, 0, 1]])
    true = np.array([[0.03, -0.05, distance], [-0.2, 0.1, 1.5 * distance]])
    points = np.stack((open_hand, open_hand[:, [2, 0, 1]]))
    pixels = project(points + true[:, None], K)
    assert np.allclose(fit_translation(points, pixels, K), true, atol=1e-9)
    shaken = pixels + np.random.default_rng(0).normal(0, 0.5, pixels.shape)
    assert np.abs(fit_translation(points, shaken, K) - true).max() < 0.05 * distance


def test_pixels_that_say_nothing_place_nothing(open_hand):
    K = default_intrinsics(640, 480)
    nowhere = fit_translation(np.zeros((1, 21, 3)), np.full((1, 21, 2), 300.0), K)
    assert np.isfinite(nowhere).all()
    assert fit_translation(np.zeros((0, 21, 3)), np.zeros((0, 21, 2)), K).shape == (0, 3)


def test_depth_grows_with_the_focal_length_alone():
    cam, center, side = np.array([[6.0, 0.01, 0.02]]), np.array([[100.0, 300.0]]), np.array([150.0])
    near = crop_to_full_translation(cam, center, side, default_intrinsics(640, 480, 500))[0]
    far = crop_to_full_translation(cam, center, side, default_intrinsics(640, 480, 1000))[0]
    assert far[2] == pytest.approx(2 * near[2])
    assert far[:2] == pytest.approx(near[:2])


def test_released_camera_is_its_formula():
    K = released_intrinsics(810, 1080)
    assert K[0, 0] == pytest.approx(5000 / 256 * 1080)
    assert (K[0, 2], K[1, 2]) == (405, 540)


def test_the_least_turn_onto_the_optical_axis() -> None:
    directions = np.array([[0.3, -0.2, 1.0], [0, 0, 5.0], [1, 2, -0.5], [0, 0, -2.0]])
    turns = onto_optical_axis(directions)
    assert turns.shape == (4, 3, 3) and onto_optical_axis(directions[0]).shape == (3, 3)
    np.testing.assert_allclose(
        turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (4, 1, 1)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    length = np.linalg.norm(directions, axis=1)
    axis = np.einsum("nij,nj->ni", turns, directions) / length[:, None]
    np.testing.assert_allclose(axis, np.tile([0, 0, 1.0], (4, 1)), atol=1e-12)
    # The least turn: by no more than the angle between them.
    angles = np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1))
    np.testing.assert_allclose(angles, np.arccos(directions[:, 2] / length), atol=1e-6)
