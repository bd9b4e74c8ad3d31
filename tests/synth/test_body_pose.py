from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.body import BodyShape, hand_keypoints, load_body, pose_body
from wilor_yolo.synth.body_pose import (
    align,
    finger_rotations,
    hand_rotation,
    rotation_about,
    solve_arm,
    unit,
)
from wilor_yolo.synth.poses import NAMED_POSES

UP, FRONT, TO_THE_LEFT = np.array([0, 0, 1.0]), np.array([0, -1.0, 0]), np.array([1.0, 0, 0])


@pytest.fixture(scope="module")
def model():
    return load_body()


@pytest.fixture(scope="module")
def mean(model):
    return BodyShape(model.vertices, model.heads, gender=0.5, age=0.7, african=0.3)


def _raised(model, mean, side, name, palm=FRONT):
    """Keypoints of a raised hand, fingers up, with a named pose."""
    suffix = (".L", ".R")[side]
    shoulder = mean.heads[model.bone("upperarm01" + suffix)]
    out = TO_THE_LEFT * (1 if side == LEFT else -1)
    hand = hand_rotation(model, mean, side, UP, palm)
    target = shoulder + 0.15 * out + 0.2 * FRONT + 0.2 * UP
    arm = solve_arm(model, mean, side, shoulder, target, hand, out - UP)
    rotations = dict(arm.rotations)
    wrist = rotations["wrist" + suffix]
    fingers = finger_rotations(model, mean, side, NAMED_POSES[name])
    rotations |= {bone: wrist @ turn for bone, turn in fingers.items()}
    return hand_keypoints(model, pose_body(model, mean, rotations), side), arm, target


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_the_arm_reaches_the_place_and_turns_the_hand(model, mean, side):
    points, arm, target = _raised(model, mean, side, "flat")
    np.testing.assert_allclose(points[0], target, atol=2e-3)
    np.testing.assert_allclose(arm.wrist, target, atol=1e-6)
    assert unit(points[9] - points[0]) @ UP > 0.97
    for tip in (8, 12, 16, 20):
        assert unit(points[tip] - points[0]) @ UP > 0.85


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_thumbs_point_inwards_when_the_palms_face_forward(model, mean, side):
    # As in a mirror: palm to the front, fingers up, both thumbs point at one's own head.
    points, _, _ = _raised(model, mean, side, "spread")
    inwards = -TO_THE_LEFT if side == LEFT else TO_THE_LEFT
    assert (points[4] - points[0]) @ inwards > 0.03
    assert (points[5] - points[17]) @ inwards > 0.03
    behind, _, _ = _raised(model, mean, side, "spread", palm=-FRONT)
    assert (behind[5] - behind[17]) @ inwards < 0


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_a_fist_curls_towards_the_palm(model, mean, side):
    flat, _, _ = _raised(model, mean, side, "flat")
    fist, _, _ = _raised(model, mean, side, "fist")
    point, _, _ = _raised(model, mean, side, "point")
    for tip, knuckle in ((8, 5), (12, 9), (16, 13), (20, 17)):
        length = np.linalg.norm(flat[tip] - flat[knuckle])
        assert np.linalg.norm(fist[tip] - fist[knuckle]) < 0.75 * length
        middle_joint = fist[knuckle + 1] - fist[knuckle]
        assert middle_joint @ FRONT > 0.01  # bends to the palm's side, not backwards
    assert np.linalg.norm(point[8] - point[5]) > 0.95 * np.linalg.norm(flat[8] - flat[5])
    assert np.linalg.norm(point[12] - point[9]) < 0.75 * np.linalg.norm(flat[12] - flat[9])


def test_the_sides_mirror_each_other(model, mean):
    left, _, _ = _raised(model, mean, LEFT, "thumbs_up")
    right, _, _ = _raised(model, mean, RIGHT, "thumbs_up")
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=4e-3)


def test_places_out_of_reach_are_approached(model, mean):
    shoulder = mean.heads[model.bone("upperarm01.R")]
    hand = hand_rotation(model, mean, RIGHT, FRONT, -UP)
    arm = solve_arm(model, mean, RIGHT, shoulder, shoulder + 3 * FRONT, hand, -UP)
    assert 0.4 < np.linalg.norm(arm.wrist - shoulder) < 0.56
    assert unit(arm.wrist - shoulder) @ FRONT > 0.999


def test_impossible_turns_are_cut_and_cost(model, mean):
    shoulder = mean.heads[model.bone("upperarm01.L")]
    target = shoulder + 0.45 * FRONT
    easy = solve_arm(
        model, mean, LEFT, shoulder, target, hand_rotation(model, mean, LEFT, FRONT, -UP), -UP
    )
    backwards = hand_rotation(model, mean, LEFT, -FRONT, UP)
    hard = solve_arm(model, mean, LEFT, shoulder, target, backwards, -UP)
    assert hard.cost > easy.cost + 1
    fore = unit(hard.wrist - hard.elbow)
    rest = unit(mean.heads[model.bone("wrist.L")] - mean.heads[model.bone("lowerarm02.L")])
    bent = hard.rotations["wrist.L"] @ hard.rotations["lowerarm02.L"].T @ fore
    assert np.degrees(np.arccos(bent @ fore)) < 70 and np.isfinite(rest).all()


def test_align_is_a_rotation_that_keeps_the_first_direction():
    rng = np.random.default_rng(3)
    a, a2, b, b2 = rng.normal(size=(4, 3))
    r = align(a, a2, b, b2)
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(r) == pytest.approx(1)
    np.testing.assert_allclose(r @ unit(a), unit(b), atol=1e-9)
    np.testing.assert_allclose(rotation_about(UP, np.pi / 2) @ TO_THE_LEFT, -FRONT, atol=1e-9)
