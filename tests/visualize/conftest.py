from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wilor_yolo.geometry import default_intrinsics, project
from wilor_yolo.hands import Hands

SIZE = (160, 120)


def _bowl():
    """778 vertices and an open rim of 16, like a hand: rings of a ball without its lower end."""
    rings, sectors = 48, 16
    polar = np.linspace(0.05, 0.75 * np.pi, rings)
    around = np.arange(sectors) / sectors * 2 * np.pi
    ring = np.stack(
        [
            np.outer(np.sin(polar), np.cos(around)),
            np.outer(np.sin(polar), np.sin(around)),
            np.outer(np.cos(polar), np.ones(sectors)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0, 0, 1.0]]])
    faces = [[len(ring), k, (k + 1) % sectors] for k in range(sectors)]
    for r in range(rings - 1):
        for k in range(sectors):
            a, b = r * sectors + k, r * sectors + (k + 1) % sectors
            faces += [[a, a + sectors, b], [b, a + sectors, b + sectors]]
    spare = 778 - len(vertices)  # vertices without a face, away from the rest
    vertices = np.concatenate([vertices, np.zeros((spare, 3))])
    return vertices * [1, -1, -1], np.array(faces)  # turned: it opens away from the camera


@pytest.fixture
def hands() -> Hands:
    """A near left and a far right "hand" that overlap, and a right one over the border."""
    shape, faces = _bowl()
    is_right = np.array([False, True, True])
    radius = np.array([0.05, 0.08, 0.06])
    cam_t = np.array([[-0.04, 0.0, 0.4], [0.05, 0.02, 0.6], [0.24, -0.18, 0.5]], np.float32)
    mirror = np.where(is_right, 1.0, -1.0)[:, None, None] * [1, 0, 0] + [0, 1, 1]
    vertices = (shape * radius[:, None, None] * mirror).astype(np.float32)
    joints = np.repeat(vertices[:, :1], 21, axis=1) + np.linspace(0, 0.05, 21)[None, :, None]
    intrinsics = default_intrinsics(*SIZE)
    outline = project(vertices + cam_t[:, None], intrinsics)
    keypoints = project(joints + cam_t[:, None], intrinsics)
    return Hands(
        bbox_xyxy=np.concatenate([outline.min(1), outline.max(1)], axis=-1),
        confidence=np.array([0.9, 0.8, 0.7], np.float32),
        is_right=is_right,
        image_size=SIZE,
        source="hands.jpg",
        keypoints_2d_detector=np.concatenate(
            [keypoints + 2, np.full((3, 21, 1), 0.9)], axis=-1
        ).astype(np.float32),
        vertices=vertices,
        joints=joints.astype(np.float32),
        keypoints_2d=keypoints.astype(np.float32),
        global_orient=np.repeat(np.eye(3, dtype=np.float32)[None], 3, axis=0),
        hand_pose=np.tile(np.eye(3, dtype=np.float32), (3, 15, 1, 1)),
        betas=np.zeros((3, 10), np.float32),
        cam_t=cam_t,
        K=intrinsics,
        faces=faces.astype(np.int32),
    )


@pytest.fixture
def detected(hands) -> Hands:
    """The same hands before reconstruction."""
    gone = ("vertices", "joints", "keypoints_2d", "global_orient", "hand_pose", "betas", "cam_t")
    return replace(hands, **dict.fromkeys(gone), K=None, faces=None)


@pytest.fixture
def nobody() -> Hands:
    return Hands.empty(SIZE)


@pytest.fixture
def picture() -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
