from __future__ import annotations

import numpy as np

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.arm_gestures import GESTURES
from wilor_yolo.synth.body import hand_keypoints, load_body, sample_shape
from wilor_yolo.synth.person_pose import facing, pose_person, sample_goals


def test_hands_at_the_face_stay_out_of_the_head():
    model = load_body()
    inside = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        shape = sample_shape(model, rng)
        goals = {LEFT: GESTURES["face"], RIGHT: GESTURES["cheek"]}
        body = pose_person(model, shape, rng, goals)
        head = model.weight_of("head") > 0.9
        centre = body.vertices[head].mean(0)
        axes = body.rotations[model.bone("head")]
        half = 0.5 * np.ptp((body.vertices[head] - centre) @ axes, axis=0)
        for side in (LEFT, RIGHT):
            local = (hand_keypoints(model, body, side) - centre) @ axes / half
            inside += int((np.linalg.norm(local, axis=1) < 0.7).sum())
    assert inside < 12  # of 12 * 42 keypoints


def test_clasped_hands_do_not_run_through_each_other():
    model = load_body()
    gaps = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        goals = {LEFT: GESTURES["pray"], RIGHT: GESTURES["pray"]}
        body = pose_person(model, sample_shape(model, rng), rng, goals)
        left, right = (hand_keypoints(model, body, side) for side in (LEFT, RIGHT))
        gaps.append(np.linalg.norm(left[:, None] - right[None], axis=-1).min())
        assert np.linalg.norm(left[9] - right[9]) < 0.16
    assert np.median(gaps) > 0.009


def test_sitting_people_have_level_thighs():
    model = load_body()
    rng = np.random.default_rng(0)
    shape = sample_shape(model, rng)
    body = pose_person(model, shape, rng, sample_goals(rng), stance="sit")
    hip, knee = (body.joints[model.bone(n)] for n in ("upperleg01.L", "lowerleg01.L"))
    assert hip[1] - knee[1] > 0.2 and abs(hip[2] - knee[2]) < 0.2


def test_hidden_goals_hide_both_hands():
    for seed in range(6):
        goals = sample_goals(np.random.default_rng(seed), hidden=True)
        assert all(goal.hidden or goal.anchor == "back" for goal in goals.values())


def test_facing_turns_the_front():
    turn = facing(np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(turn @ [0, -1, 0], [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(turn @ [0, 0, 1], [0, 0, 1], atol=1e-9)
