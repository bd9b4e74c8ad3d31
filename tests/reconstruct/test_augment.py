"""The augmentation's mirror law: what the pixels do, the labels do."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import roma
import torch

from wilor_yolo.crops import crop_geometry, crop_hands
from wilor_yolo.geometry import project
from wilor_yolo.reconstruct.augment import (
    AugmentConfig,
    CropView,
    change_colours,
    plain_view,
    random_view,
    take_crop,
    view_labels,
)
from wilor_yolo.reconstruct.batches import make_batch
from wilor_yolo.reconstruct.config import NetworkConfig

SIZE = 96


@pytest.mark.parametrize("is_right", [True, False])
def test_plain_view_is_the_predictors_crop(make_hand, is_right):
    sample = make_hand(is_right=is_right, seed=3)
    view = plain_view(sample, 1.5)
    geometry = crop_geometry(sample.bbox_xyxy[None], np.array([is_right]), box_scale=1.5)
    theirs = crop_hands(sample.image, geometry, SIZE)[0]
    np.testing.assert_array_equal(take_crop(sample.image, view, SIZE), theirs)
    points = sample.keypoints_2d[None, :, :2]
    np.testing.assert_allclose(view.to_crop(points[0]), geometry.to_crop(points)[0], atol=1e-5)


def test_the_edge_of_a_shrunk_picture_is_black_as_in_the_predictors_crop():
    image = np.full((401, 401, 3), 200, np.uint8)  # 401 px are no whole blocks of 4
    box = np.array([[50, 50, 390, 390]], np.float32)
    geometry = crop_geometry(box, np.array([True]), box_scale=1.2)
    view = CropView(geometry.center[0], float(geometry.size[0]), 0.0, False)
    crop = take_crop(image, view, SIZE)
    np.testing.assert_array_equal(crop, crop_hands(image, geometry, SIZE)[0])
    assert crop[-1].max() == 0 and crop[SIZE // 2, SIZE // 2, 0] == 200


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("angle", [0.0, 0.6, -0.7])
def test_pixels_and_keypoints_move_together(is_right, angle, make_hand):
    """A dot painted at a picture point is found at the crop point that `to_crop` names."""
    sample = make_hand(is_right=is_right, size=(200, 240))
    view = CropView(np.array([118.0, 95.0]), 130.0, angle, not is_right)
    for point in ([100.0, 80.0], [140.0, 120.0]):
        image = np.zeros_like(sample.image)
        cv2.circle(image, (int(point[0]), int(point[1])), 4, (255, 255, 255), -1)
        crop = take_crop(image, view, SIZE)[..., 0].astype(float)
        ys, xs = np.mgrid[:SIZE, :SIZE]
        found = np.array([(xs * crop).sum(), (ys * crop).sum()]) / crop.sum()
        expected = (view.to_crop(np.array([point]))[0] + 0.5) * SIZE - 0.5
        np.testing.assert_allclose(found, expected, atol=0.3)


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_turned_3d_projects_on_to_turned_keypoints(make_hand, free_hand, is_right, seed):
    """Joints and parameters, carried into the view, reproduce the view's 2D keypoints."""
    sample = make_hand(is_right=is_right, seed=seed)
    rng = np.random.default_rng(seed)
    view = random_view(sample, rng, AugmentConfig(rotation_probability=1.0), 1.5)
    labels = view_labels(sample, view)
    # The right-hand view's camera, turned: the picture's K mirrored if left, then the view.
    right = sample if is_right else sample.mirrored()
    joints = right.keypoints_3d
    center = view.center.copy()
    if not is_right:
        center[0] = sample.image.shape[1] - 1 - center[0]
    cos, sin = np.cos(view.angle), np.sin(view.angle)
    to_view = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, -center[0]], [0, 1, -center[1]], [0, 0, view.side]]
    )
    np.testing.assert_allclose(
        project(joints.astype(np.float64), to_view @ right.K), labels.keypoints_2d[:, :2], atol=1e-4
    )
    # joints_3d are those joints in the ray frame, turned about the optical axis, from the wrist on.
    np.testing.assert_allclose(labels.joints_3d, (joints - joints[0]) @ labels.turn.T, atol=1e-6)
    # The turned parameters pose the hand model on to the turned joints.
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(labels.pose))
    orient = torch.from_numpy(labels.turn) @ rotations[0]
    mesh = free_hand(orient[None], rotations[None, 1:], torch.from_numpy(labels.betas)[None])
    posed = mesh.joints[0].numpy()
    np.testing.assert_allclose(posed - posed[0], labels.joints_3d, atol=2e-6)


def test_left_and_mirrored_right_give_the_same_training_crop(make_hand):
    right = make_hand(seed=5)
    left = right.mirrored()
    network = NetworkConfig(image_size=SIZE, visible=1.0, patch_size=16, box_scale=1.5)
    a = make_batch([right.encode(100)], network)
    b = make_batch([left.encode(100)], network)
    assert (a.crops - b.crops).abs().mean() < 0.05  # JPEG differs a little when mirrored
    for name, value in vars(a.targets).items():
        torch.testing.assert_close(value, getattr(b.targets, name), atol=1e-4, rtol=1e-4)


def test_unknown_keypoints_stay_unknown(make_hand):
    sample = make_hand(parameters=False)
    sample.keypoints_2d[3] = 0
    labels = view_labels(sample, plain_view(sample, 1.5))
    assert (labels.keypoints_2d[3] == 0).all()
    assert not labels.has_parameters and labels.joints_3d_weight == 1.0


def test_colours_keep_shape_and_depend_on_the_generator_alone(make_hand):
    crop = take_crop(make_hand().image, plain_view(make_hand(), 1.5), SIZE)
    config = AugmentConfig(
        noise_probability=1, blur_probability=1, lowres_probability=1, erase_probability=1
    )
    before = crop.copy()
    results = [change_colours(crop, np.random.default_rng(i), config) for i in range(20)]
    np.testing.assert_array_equal(crop, before)  # the input is not painted on
    again = change_colours(crop, np.random.default_rng(7), config)
    np.testing.assert_array_equal(results[7], again)
    assert {r.shape for r in results} == {(SIZE, SIZE, 3)}
    assert {r.dtype for r in results} == {np.dtype(np.uint8)}
    assert (results[0] != results[1]).any()


def test_large_pictures_do_not_alias(make_hand):
    """A fine checkerboard far below the crop's resolution averages to grey."""
    image = np.zeros((600, 600, 3), np.uint8)
    image[::2, ::2] = image[1::2, 1::2] = 255
    view = CropView(np.array([299.5, 299.5]), 560.0, 0.2, False)
    crop = take_crop(image, view, SIZE).astype(float)
    assert crop[20:-20, 20:-20].std() < 25


@pytest.mark.parametrize("is_right", [True, False])
def test_ray_frame_looks_at_the_crop(make_hand, is_right):
    """The turned joints lie about the crop's axis: a weak-perspective camera fits them better."""
    sample = make_hand(is_right=is_right, seed=2)
    shifted = sample.K.copy()
    shifted[:2, :2] *= 0.25  # a short lens: strong perspective ...
    shifted[0, 2] -= 150  # ... and the axis far to the left
    right_K = shifted.astype(float)
    ray = np.linalg.inv(right_K) @ [*plain_view(sample, 1.5).center, 1]
    joints = sample.keypoints_3d - sample.keypoints_3d.mean(0) + 0.35 * ray / np.linalg.norm(ray)
    points = project(joints, right_K)
    keypoints = np.column_stack((points, np.ones(21)))
    box = np.concatenate((points.min(0), points.max(0)))
    tilted = replace(sample, K=shifted, keypoints_3d=joints, keypoints_2d=keypoints, bbox_xyxy=box)
    view = plain_view(tilted, 1.5)
    seen = view_labels(tilted, view)
    blind = view_labels(tilted, view, "camera")
    without = view_labels(replace(tilted, K=None), view)
    np.testing.assert_array_equal(blind.joints_3d, without.joints_3d)

    def misfit(labels):
        x = labels.joints_3d[:, :2] - labels.joints_3d[:, :2].mean(0)
        y = labels.keypoints_2d[:, :2] - labels.keypoints_2d[:, :2].mean(0)
        return np.abs((x * y).sum() / (x * x).sum() * x - y).mean()

    assert misfit(seen) < 0.6 * misfit(blind)


def test_crops_shown_the_wrong_way_round_teach_their_side_only(make_hand):
    network = NetworkConfig(
        stem="hand-landmarks", image_size=64, visible=1.0, dim=32, heads=2, side=True
    )
    sample, keys = make_hand(), [(1, 2)]
    right = make_batch([sample], network, AugmentConfig(mirror_probability=0.0), keys)
    wrong = make_batch([sample], network, AugmentConfig(mirror_probability=1.0), keys)
    assert right.targets.shows_right.tolist() == [1.0]
    assert wrong.targets.shows_right.tolist() == [0.0]
    np.testing.assert_array_equal(wrong.crops.numpy(), right.crops.numpy()[..., ::-1])
    assert right.targets.keypoints_2d.abs().sum() > 0
    for weight in ("keypoints_2d", "joints_3d_weight", "has_parameters"):
        assert getattr(wrong.targets, weight).abs().sum() == 0
