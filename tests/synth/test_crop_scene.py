from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.geometry import project
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.synth.crop_scene import sample_crop
from wilor_yolo.synth.hand_mesh import FineHand
from wilor_yolo.synth.rotations import rotation_matrices

SIZE = 72


@pytest.fixture(scope="module")
def hand() -> FineHand:
    return FineHand()


@pytest.fixture(scope="module")
def samples(hand):
    return [sample_crop(5, i, hand, SIZE, rays=4) for i in range(14)]


def _model_pixels(sample):
    """The hand model at the sample's parameters, projected as the network sees it."""
    layer = HandLayer.free()
    pose = rotation_matrices(sample.hand_pose.reshape(15, 3).astype(float))
    turn = rotation_matrices(sample.global_orient.astype(float))
    mesh = layer(
        torch.tensor(turn, dtype=torch.float32)[None],
        torch.tensor(pose, dtype=torch.float32)[None],
        torch.tensor(sample.betas)[None],
    )
    seen = sample if sample.is_right else sample.mirrored()
    place = sample.cam_t.astype(float)
    joints = mesh.joints[0].numpy().astype(float) + place
    vertices = mesh.vertices[0].numpy().astype(float) + place
    k = seen.K.astype(float)
    return project(joints, k), project(vertices, k), joints, seen


def test_parameters_project_on_to_the_keypoints(samples):
    assert {s.is_right for s in samples} == {True, False}
    for sample in samples:
        pixels, vertices, joints, seen = _model_pixels(sample)
        assert np.abs(pixels - seen.keypoints_2d[:, :2]).max() < 0.1
        assert np.abs(joints - seen.keypoints_3d).max() < 1e-4
        # The box is that of the mesh, cut where the photograph ends.
        tight = np.concatenate([vertices.min(0), vertices.max(0)])
        assert (seen.bbox_xyxy[:2] > tight[:2] - 0.1).all()
        assert (seen.bbox_xyxy[2:] < tight[2:] + 0.1).all()


def test_box_fills_the_intended_share(samples):
    for sample in samples:
        sides = sample.bbox_xyxy[2:] - sample.bbox_xyxy[:2]
        assert 0.44 * SIZE < sides.max() < 0.80 * SIZE
        centre = 0.5 * (sample.bbox_xyxy[:2] + sample.bbox_xyxy[2:])
        assert np.abs(centre - (SIZE - 1) / 2).max() < 0.12 * SIZE


def test_mirror_law(samples):
    for sample in samples[:6]:
        twice = sample.mirrored().mirrored()
        assert twice.is_right == sample.is_right
        np.testing.assert_array_equal(twice.image, sample.image)
        np.testing.assert_allclose(twice.keypoints_3d, sample.keypoints_3d, atol=1e-6)
        # A left sample's own 3D joints project on to its own pixels.
        pixels = project(sample.keypoints_3d.astype(float), sample.K.astype(float))
        assert np.abs(pixels - sample.keypoints_2d[:, :2]).max() < 0.05


def test_confidence_is_zero_outside_and_mostly_one(samples):
    levels = np.concatenate([s.keypoints_2d[:, 2] for s in samples])
    assert set(np.unique(levels)) <= {0.0, 0.5, 1.0}
    assert (levels == 1).mean() > 0.5
    for sample in samples:
        outside = (sample.keypoints_2d[:, :2] < -0.5).any(1)
        outside |= (sample.keypoints_2d[:, :2] > SIZE - 0.5).any(1)
        assert (sample.keypoints_2d[outside, 2] == 0).all()


def test_same_seed_same_sample(hand):
    one, two = (sample_crop(3, 7, hand, SIZE, rays=4) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)
    assert one.to_label() == two.to_label()
    other = sample_crop(3, 8, hand, SIZE, rays=4)
    assert not np.array_equal(one.image, other.image)


def test_the_hand_is_in_the_picture(hand, samples):
    """Pixels under seen finger joints differ from the same scene's surroundings often enough."""
    assert all(s.image.std() > 1 for s in samples)
    assert len({s.image.tobytes() for s in samples}) == len(samples)
