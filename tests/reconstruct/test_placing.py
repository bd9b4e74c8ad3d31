"""The way back to the picture: where hands are, and the mirror."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import roma
import torch

from wilor_yolo.crops import crop_geometry
from wilor_yolo.geometry import (
    default_intrinsics,
    mirror_points,
    mirror_rotation,
    project,
    project_crop,
)
from wilor_yolo.hands import Hands
from wilor_yolo.reconstruct.placing import place_in_picture
from wilor_yolo.reconstruct.ray import ray_rotation


def _says(layer, rotations, betas, cam):
    """A network's output."""
    mesh = layer(rotations[:, :1], rotations[:, 1:], betas)
    return SimpleNamespace(
        vertices=mesh.vertices,
        joints=mesh.joints,
        global_orient=rotations[:, 0],
        hand_pose=rotations[:, 1:],
        betas=betas,
        cam=cam,
        keypoints_2d_crop=project_crop(mesh.joints, cam),
    )


def test_near_the_axis_both_frames_agree(free_hand):
    K = default_intrinsics(321, 240, focal=20000.0)
    boxes = np.array([[30, 40, 90, 110], [200, 120, 300, 200], [5, 150, 60, 239]], np.float32)
    sides = np.array([True, False, False])
    detected = Hands(boxes, np.ones(3, np.float32), sides, (321, 240))
    geometry = crop_geometry(boxes, sides)
    cam = torch.tensor([[7.0, 0.01, 0.0]]).expand(3, 3)
    output = _says(free_hand, torch.eye(3).expand(3, 16, 3, 3), torch.zeros(3, 10), cam)
    ray = place_in_picture(detected, output, geometry, K, ray=True)
    camera = place_in_picture(detected, output, geometry, K, ray=False)
    assert np.abs(ray.vertices - camera.vertices).max() < 2e-3
    assert np.abs(ray.keypoints_2d - camera.keypoints_2d).max() < 0.5
    assert np.allclose(ray.cam_t, camera.cam_t, rtol=5e-3, atol=1e-2)


def _scene(seed, is_right, K):
    """A hand somewhere in the picture: right-hand parameters and true camera-space joints."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.3, (16, 3))
    pose[0] = rng.normal(0, 1.2, 3)
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(pose).float())[None]
    betas = torch.from_numpy(rng.normal(0, 1, (1, 10))).float()
    depth = rng.uniform(0.45, 1.2)
    pixel = rng.uniform([60, 60], [580, 420])
    cam_t = np.array([*((pixel - K[:2, 2]) / K[0, 0] * depth), depth])
    return rotations, betas, cam_t


@pytest.mark.parametrize("is_right", [True, False], ids=["right", "left"])
def test_a_network_that_says_the_truth_puts_the_hand_where_it_is(is_right, free_hand):
    """Rotation exactly, place to the crop camera's weak perspective."""
    layer, K = free_hand, default_intrinsics(640, 480).astype(np.float64)
    for seed in range(12):
        rotations, betas, cam_t = _scene(seed, is_right, K)
        # The hand as it is: for a left one, the mirrored right-hand model.
        true = layer(rotations[:, :1], rotations[:, 1:], betas)
        vertices, joints = (a[0].numpy().astype(float) for a in (true.vertices, true.joints))
        if not is_right:
            vertices, joints = mirror_points(vertices), mirror_points(joints)
        pixels = project(vertices + cam_t, K)
        box = np.concatenate((pixels.min(0), pixels.max(0)))[None]
        geometry = crop_geometry(box, [is_right], box_scale=1.5)
        # What a perfect network says: the right hand, as the ray frame of its crop sees it.
        turn = ray_rotation(geometry.center, K)
        right_turn = turn if is_right else mirror_rotation(turn)
        seen = rotations.clone()
        seen[:, 0] = torch.from_numpy(right_turn).float() @ rotations[:, 0]
        mesh = layer(seen[:, :1], seen[:, 1:], betas)
        in_crop = geometry.to_crop(project(joints + cam_t, K)[None])[0]
        cam = _fit_crop_camera(mesh.joints[0].numpy(), in_crop)
        output = _says(layer, seen, betas, torch.from_numpy(cam)[None].float())
        detected = Hands(box, np.ones(1, np.float32), np.array([is_right]), (640, 480))
        hands = place_in_picture(detected, output, geometry, K, ray=True)
        assert np.abs(hands.vertices[0] - vertices).max() < 1e-5
        assert np.abs(hands.global_orient[0] - rotations[0, 0].numpy()).max() < 1e-5
        assert np.abs(hands.cam_t[0] - cam_t).max() < 0.04 * cam_t[2]
        error = np.linalg.norm(hands.keypoints_2d[0] - project(joints + cam_t, K), axis=1)
        assert error.mean() < 0.01 * np.ptp(box.reshape(2, 2), axis=0).max()


def _fit_crop_camera(joints, in_crop):
    """(s, tx, ty), least squares of s / 2 (X + t) = u over the joints."""
    rows = np.zeros((2 * len(joints), 3))
    rows[0::2, 0], rows[1::2, 0] = joints[:, 0] / 2, joints[:, 1] / 2
    rows[0::2, 1] = rows[1::2, 2] = 1
    scale, x, y = np.linalg.lstsq(rows, in_crop.reshape(-1), rcond=None)[0]
    return np.array([scale, 2 * x / scale, 2 * y / scale])
