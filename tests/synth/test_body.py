from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.body import (
    BodyShape,
    bone_frames,
    hand_keypoints,
    load_body,
    pose_body,
    sample_shape,
)
from wilor_yolo.synth.body_pose import rotation_about


@pytest.fixture(scope="module")
def model():
    return load_body()


@pytest.fixture(scope="module")
def mean(model):
    return BodyShape(model.vertices, model.heads, gender=0.5, age=0.7, african=0.3)


def test_the_left_hand_is_at_positive_x_and_the_face_at_negative_y(model, mean):
    body = pose_body(model, mean, {})
    left, right = (hand_keypoints(model, body, side) for side in (LEFT, RIGHT))
    assert (left[:, 0] > 0.2).all() and (right[:, 0] < -0.2).all()
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=3e-3)
    eyes = model.group_vertices("helper-l-eye")
    assert model.vertices[eyes, 1].mean() < model.heads[model.bone("head"), 1]


def test_no_rotation_leaves_the_rest_shape(model, mean):
    body = pose_body(model, mean, {})
    np.testing.assert_allclose(body.vertices, mean.vertices, atol=1e-5)
    np.testing.assert_allclose(body.joints, mean.heads, atol=1e-6)


def test_a_bone_moves_its_children_and_keeps_their_length(model, mean):
    turn = rotation_about(np.array([0.3, 1, 0.2]), 0.9)
    joints, world = bone_frames(model, mean, {"lowerarm01.L": turn})
    wrist, elbow = model.bone("wrist.L"), model.bone("lowerarm01.L")
    np.testing.assert_allclose(
        joints[wrist] - joints[elbow], turn @ (mean.heads[wrist] - mean.heads[elbow]), atol=1e-6
    )
    np.testing.assert_allclose(world[model.bone("finger3-2.L")], turn)
    right = model.bone("wrist.R")
    np.testing.assert_allclose(joints[right], mean.heads[right])


def test_unknown_bones_are_refused(model, mean):
    with pytest.raises(ValueError, match=r"tail\.L"):
        pose_body(model, mean, {"tail.L": np.eye(3)})


def test_keypoints_run_from_the_wrist_to_the_tips(model, mean):
    points = hand_keypoints(model, pose_body(model, mean, {}), RIGHT)
    assert points.shape == (21, 3)
    far = np.linalg.norm(points - points[0], axis=1)
    for finger in range(5):
        assert (np.diff(far[1 + 4 * finger : 5 + 4 * finger]) > 0).all()


def test_people_differ_and_children_are_smaller(model):
    rng = np.random.default_rng(0)
    tall = [np.ptp(sample_shape(model, rng, child=False).vertices[:, 2]) for _ in range(12)]
    small = [np.ptp(sample_shape(model, rng, child=True).vertices[:, 2]) for _ in range(12)]
    assert np.mean(small) < np.mean(tall) - 0.1
    assert np.std(tall) > 0.03 and min(tall) > 1.3 and max(tall) < 2.3
    assert all(sample_shape(model, rng, child=True).is_child for _ in range(5))


def test_skin_weights_are_shares(model):
    np.testing.assert_allclose(model.bone_weight.sum(1), 1, atol=1e-4)
    assert model.bone_index.max() < len(model.bones)
    assert (model.parents[1:] < np.arange(1, len(model.bones))).all()
