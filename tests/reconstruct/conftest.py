from __future__ import annotations

import cv2
import numpy as np
import pytest
import roma
import torch

from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.samples import HandSample


def _draw(vertices, faces, K, size):
    """A painter's picture of a mesh: enough for a network to learn from."""
    points = vertices @ K.T
    pixels = (points[:, :2] / points[:, 2:] * 16).round().astype(np.int32)
    image = np.full((*size, 3), (70, 90, 60), np.uint8)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    light = 60 + 180 * np.abs(normals @ np.array([0.5, -0.5, -0.7]))
    for i in np.argsort(-corners[:, :, 2].mean(1)):
        tone = light[i] * np.array([0.7, 0.8, 1.0])
        cv2.fillConvexPoly(image, pixels[faces[i]], tone.tolist(), cv2.LINE_AA, shift=4)
    return image


@pytest.fixture(scope="session")
def free_hand():
    return HandLayer.free()


@pytest.fixture(scope="session")
def make_hand(free_hand):
    """A factory of fully labelled samples of the posed free hand."""

    def make(key="k0", seed=0, is_right=True, source="test", parameters=True, size=(120, 128)):
        rng = np.random.default_rng(seed)
        orient = rng.normal(0, 1, 3).astype(np.float32)
        pose = rng.normal(0, 0.25, (15, 3)).astype(np.float32)
        betas = rng.normal(0, 0.7, 10).astype(np.float32)
        cam_t = np.array([*rng.normal(0, 0.01, 2), 0.6], np.float32)
        rotations = roma.rotvec_to_rotmat(torch.from_numpy(np.vstack((orient, pose))))[None]
        mesh = free_hand(rotations[:, :1], rotations[:, 1:], torch.from_numpy(betas)[None])
        # The picture is 500 px wide in focal length and cut so that the hand is in the middle.
        vertices, joints = mesh.vertices[0].numpy() + cam_t, mesh.joints[0].numpy() + cam_t
        middle = joints.mean(0)
        K = np.array([[330, 0, 0], [0, 330, 0], [0, 0, 1]], np.float32)
        K[:2, 2] = np.array([size[1], size[0]]) / 2 - 330 * middle[:2] / middle[2]
        keypoints = np.ones((21, 3), np.float32)
        points = joints @ K.T
        keypoints[:, :2] = points[:, :2] / points[:, 2:]
        outline = vertices @ K.T
        outline = outline[:, :2] / outline[:, 2:]
        sample = HandSample(
            image=_draw(vertices, free_hand.faces.numpy(), K, size),
            is_right=True,
            bbox_xyxy=np.concatenate((outline.min(0), outline.max(0))),
            keypoints_2d=keypoints,
            source=source,
            key=key,
            keypoints_3d=joints,
            K=K,
            global_orient=orient if parameters else None,
            hand_pose=pose.reshape(45) if parameters else None,
            betas=betas if parameters else None,
            cam_t=cam_t if parameters else None,
        )
        return sample if is_right else sample.mirrored()

    return make
