from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.arm_gestures import GESTURES, PAIRS, SINGLES, hand_pose, jittered
from wilor_yolo.synth.body import load_body, sample_shape
from wilor_yolo.synth.person_pose import pose_person
from wilor_yolo.synth.poses import NAMED_POSES


def test_the_tables_name_things_that_exist():
    assert set(SINGLES) <= set(GESTURES)
    assert {name for pair in PAIRS for name in pair[:2]} <= set(GESTURES)
    for goal in GESTURES.values():
        assert set(goal.poses) <= set(NAMED_POSES)
        assert bool(goal.holds) == (goal.hold_share > 0)


@pytest.mark.parametrize("name", sorted(GESTURES))
def test_every_gesture_can_be_taken(name):
    model = load_body()
    rng = np.random.default_rng(1)
    goals = {LEFT: GESTURES[name], RIGHT: GESTURES[name]}
    body = pose_person(model, sample_shape(model, rng), rng, goals)
    assert np.isfinite(body.vertices).all()
    np.testing.assert_allclose(np.linalg.det(body.rotations), 1, atol=1e-6)


def test_jitter_and_fingers_vary_but_keep_their_shape():
    rng = np.random.default_rng(2)
    goal = GESTURES["wave"]
    one, two = jittered(goal, rng), jittered(goal, rng)
    assert one.wrist != two.wrist and one.poses == goal.poses
    assert np.abs(np.array(one.wrist) - goal.wrist).max() < 0.2
    assert hand_pose(goal, rng).shape == (16, 3)
