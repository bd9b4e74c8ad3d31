from __future__ import annotations

import numpy as np

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.arm_gestures import GESTURES
from wilor_yolo.synth.body import load_body
from wilor_yolo.synth.body_pose import rotation_about
from wilor_yolo.synth.people import make_person


def _person(seed=0, **options):
    goals = {LEFT: GESTURES["wave"], RIGHT: GESTURES["pocket"]}
    return make_person(load_body(), np.random.default_rng(seed), goals, **options)


def test_a_hand_in_a_pocket_is_gone():
    person = _person()
    assert set(person.keypoints) == {LEFT}
    for piece in person.pieces:
        assert piece.hand is None or not (piece.hand == RIGHT).any()


def test_palms_look_where_the_gesture_says():
    person = _person()
    assert person.palms[LEFT] @ [0, -1, 0] > 0.7  # a wave shows the palm to the front
    points = person.keypoints[LEFT]
    assert points[9, 2] > points[0, 2]


def test_moving_a_person_moves_everything():
    person = _person()
    turn, shift = rotation_about(np.array([0, 0, 1.0]), np.pi), np.array([1.0, 2.0, 3.0])
    moved = person.moved(turn, shift)
    np.testing.assert_allclose(
        moved.keypoints[LEFT], person.keypoints[LEFT] @ turn.T + shift, atol=1e-9
    )
    expected = turn @ person.pieces[0].vertices.mean(0) + shift
    np.testing.assert_allclose(moved.pieces[0].vertices.mean(0), expected, atol=1e-4)
    assert moved.floor == person.floor + 3 and moved.gaze @ person.gaze < 0.2


def test_without_a_head_nothing_is_above_the_neck():
    person = _person(has_head=False)
    tops = [p.vertices[:, 2].max() for p in person.pieces if p.hand is not None and len(p.vertices)]
    hand = person.keypoints[LEFT][:, 2].max()
    assert max(tops) < max(hand + 0.05, person.eyes[2])


def test_mannequins_are_of_one_colour():
    goals = {LEFT: GESTURES["hang"], RIGHT: GESTURES["hang"]}
    person = make_person(load_body(), np.random.default_rng(0), goals, is_mannequin=True)
    assert len(person.keypoints) == 2
    assert (person.floor < -0.5) and person.eyes[2] > 0.4
