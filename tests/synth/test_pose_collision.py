"""The collision check sees what it must and spares what is possible."""

from __future__ import annotations

import numpy as np

from wilor_yolo.synth.pose_collision import is_self_colliding, penetration, skeleton_joints
from wilor_yolo.synth.poses import NAMED_ANGLES, pose_from_angles
from wilor_yolo.weights_dir import shipped


def test_collision_check_sees_crossed_fingers():
    angles = NAMED_ANGLES["flat_together"].copy()
    assert penetration(pose_from_angles(angles)) < 0.003
    crossed = angles.copy()
    crossed[[3, 7]] = -20, 20  # index and middle finger splayed through each other
    assert penetration(pose_from_angles(crossed)) > 0.005
    assert is_self_colliding(pose_from_angles(crossed))


def test_rigid_turns_change_nothing():
    pose = pose_from_angles(NAMED_ANGLES["fist"])
    turned = pose.copy()
    turned[0] = 0.3, -1.2, 0.7
    assert abs(penetration(turned) - penetration(pose)) < 1e-9


def test_skeleton_is_that_of_the_shipped_hand():
    with np.load(shipped("free_hand/hand_right.npz")) as hand:
        tips = hand["v_template"][[320, 443, 671, 554, 744]]
        expected = np.concatenate([hand["J"], tips])
    found = skeleton_joints(np.zeros((16, 3)))
    np.testing.assert_allclose(found, expected, atol=1e-4)
