from __future__ import annotations

import numpy as np
import roma
import torch
from scipy.spatial.transform import Rotation

from wilor_yolo.geometry import mirror_rotation, project
from wilor_yolo.reconstruct.ray import ray_rotation, ray_translation, turn_to_camera

K = np.array([[500, 0, 320], [0, 510, 240], [0, 0, 1.0]])
CENTERS = np.array([[320.0, 240], [20, 30], [600, 100], [-200, 900]])


def test_the_ray_becomes_the_axis_by_the_smallest_turn():
    rotations = ray_rotation(CENTERS, K)
    rays = np.concatenate((CENTERS, np.ones((4, 1))), 1) @ np.linalg.inv(K).T
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    turned = np.einsum("nij,nj->ni", rotations, rays)
    np.testing.assert_allclose(turned, [[0, 0, 1]] * 4, atol=1e-12)
    np.testing.assert_allclose(rotations[0], np.eye(3), atol=1e-12)
    turns = Rotation.from_matrix(rotations)  # proper, and by just the angle to the axis
    np.testing.assert_allclose(turns.magnitude(), np.arccos(rays[:, 2]), atol=1e-9)


def test_mirror_law():
    mirrored_K, mirrored_centers = K.copy(), CENTERS.copy()
    mirrored_K[0, 2] = 639 - K[0, 2]
    mirrored_centers[:, 0] = 639 - CENTERS[:, 0]
    np.testing.assert_allclose(
        ray_rotation(mirrored_centers, mirrored_K), mirror_rotation(ray_rotation(CENTERS, K))
    )


def test_turned_parameters_pose_the_turned_vertices(free_hand):
    rng = np.random.default_rng(0)
    rotations = roma.random_rotmat(16 * 4).view(4, 16, 3, 3)
    betas = torch.from_numpy(rng.normal(0, 1, (4, 10)).astype(np.float32))
    mesh = free_hand(rotations[:, :1], rotations[:, 1:], betas)
    ray_t = rng.normal(0, 0.1, (4, 3)) + np.array([0, 0, 0.6])
    turn = ray_rotation(CENTERS, K)
    turned = turn_to_camera(mesh.vertices.numpy(), mesh.joints.numpy(), ray_t, turn)
    back = torch.from_numpy(turn.transpose(0, 2, 1)).float()
    again = free_hand(back @ rotations[:, 0], rotations[:, 1:], betas)
    np.testing.assert_allclose(again.vertices.numpy(), turned.vertices, atol=1e-6)
    np.testing.assert_allclose(again.joints.numpy(), turned.joints, atol=1e-6)
    # Camera space is the ray frame turned as a whole.
    np.testing.assert_allclose(
        turned.vertices + turned.cam_t[:, None],
        (mesh.vertices.numpy() + ray_t[:, None]) @ turn,
        atol=1e-6,
    )


def test_a_hand_is_placed_where_the_crop_shows_it():
    """Camera-space points from (cam, crop, K) project to the crop's centre and cover its size."""
    centers, size = CENTERS[:3], np.array([80.0, 90, 100])
    cam = np.array([[7.0, 0, 0], [7.0, 0, 0], [6.0, 0, 0]])
    ray_t = ray_translation(cam, centers, size, K)
    disc = np.array([[np.cos(a), np.sin(a), 0] for a in np.linspace(0, 2 * np.pi, 60)]) * 0.08
    joints = np.concatenate((np.zeros((1, 3)), disc))[None].repeat(3, 0)
    turned = turn_to_camera(joints, joints, ray_t, ray_rotation(centers, K))
    pixels = project(turned.joints + turned.cam_t[:, None], K)
    np.testing.assert_allclose(pixels[:, 0], centers, atol=1e-6)
    radius = np.linalg.norm(pixels[:, 1:] - centers[:, None], axis=-1)
    # Weak perspective: s * X / 2 crop sides.
    expected = cam[:, 0] * 0.08 / 2 * size
    np.testing.assert_allclose(np.exp(np.log(radius).mean(1)), expected, rtol=0.02)
