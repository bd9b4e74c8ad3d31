from __future__ import annotations

import numpy as np

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.arm_gestures import GESTURES
from wilor_yolo.synth.body import load_body
from wilor_yolo.synth.light import sample_lighting
from wilor_yolo.synth.meshes import box
from wilor_yolo.synth.people import make_person
from wilor_yolo.synth.people_render import Stage, render_view
from wilor_yolo.synth.people_scene import SceneHand
from wilor_yolo.synth.person_pose import facing
from wilor_yolo.synth.pieces import piece_from_mesh
from wilor_yolo.synth.scene_labels import (
    HIDDEN,
    OUTSIDE,
    VISIBLE,
    SeenHand,
    label_hands,
    label_lines,
)

SIZE = 256
F = 230.0  # focal length, px
K = np.array([[F, 0, 127.5], [0, F, 127.5], [0, 0, 1]])
TO_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # the camera at -y looks along +y


def _photograph(toward=(0.0, -1.0), shift=(0, 0, 0), things=()):
    """A person who waves the left hand and stretches the right arm out, from 2 m."""
    rng = np.random.default_rng(5)
    person = make_person(
        load_body(), rng, {LEFT: GESTURES["wave"], RIGHT: GESTURES["sideways"]}, child=False
    )
    person = person.moved(facing(np.array([*toward, 0.0])), np.zeros(3))
    person = person.moved(TO_CAMERA, np.array([0, 0.45, 2.2]) + shift)
    hands = [SceneHand(side, person.keypoints[side]) for side in (LEFT, RIGHT)]
    pieces = person.pieces + [piece_from_mesh(thing, [0.3, 0.1, 0.1]) for thing in things]
    stage = Stage.of(pieces)
    background = np.full((SIZE, SIZE, 3), 0.4, np.float32)
    view = render_view(stage, K, background, sample_lighting(rng), rng)
    labels = label_hands(hands, stage, view, K)
    return {label.side: label for label in labels}, hands, view


def _centre(label):
    return 0.5 * (label.box[:2] + label.box[2:])


def test_the_left_hand_is_class_left_from_the_front_and_from_the_back():
    front, _, _ = _photograph()
    back, _, _ = _photograph(toward=(0.0, 1.0))
    # Seen from the front, a person's left hand is on the right of the picture.
    assert _centre(front[LEFT])[0] > SIZE / 2 > _centre(front[RIGHT])[0]
    assert _centre(back[LEFT])[0] < SIZE / 2 < _centre(back[RIGHT])[0]


def test_keypoints_are_the_projected_joints_and_boxes_are_tight():
    labels, hands, view = _photograph()
    for hand in hands:
        label = labels[hand.side]
        expected = hand.keypoints[:, :2] / hand.keypoints[:, 2:] * F + 127.5
        np.testing.assert_allclose(label.keypoints, expected, atol=1e-6)
        rows, columns = np.nonzero(view.hand == hand.side)
        assert label.box[0] <= columns.min() and label.box[2] >= columns.max()
        assert label.box[0] > columns.min() - 4 and label.box[3] < rows.max() + 4
        seen = label.keypoints[label.flags == VISIBLE]
        assert len(seen) > 6
        assert (seen >= label.box[:2]).all() and (seen <= label.box[2:]).all()
        assert label.visible > 0.8


def test_an_occluded_hand_loses_its_label():
    _, hands, _ = _photograph()
    centre = hands[LEFT].keypoints.mean(0)
    wall = box(np.array([0.5, 0.5, 0.02])).moved(np.eye(3), centre - [0, 0, 0.3])
    labels, _, _ = _photograph(things=[wall])
    assert set(labels) == {RIGHT}


def test_a_half_hidden_hand_keeps_a_smaller_box_and_hidden_keypoints():
    whole, hands, _ = _photograph()
    points = hands[LEFT].keypoints
    # A wall just in front of everything above the middle knuckle; y is down.
    near = points[:, 2].min() - 0.03
    knuckle = points[9] / points[9, 2] * near
    wall = box(np.array([0.6, 0.4, 0.01])).moved(np.eye(3), [*(knuckle[:2] - [0, 0.2]), near])
    labels, _, _ = _photograph(things=[wall])
    half = labels[LEFT]
    assert half.box[1] > whole[LEFT].box[1] + 2
    assert 0.25 <= half.visible < 0.85
    assert (half.flags == HIDDEN).sum() > (whole[LEFT].flags == HIDDEN).sum()


def test_a_hand_outside_the_picture_has_no_label():
    labels, _, _ = _photograph(shift=(1.0, 0, 0))
    assert LEFT not in labels


def test_keypoints_outside_the_picture_are_zeros_in_the_file():
    _, hands, _ = _photograph()
    # Shift up until the upper border cuts the raised hand in the middle.
    y = hands[LEFT].keypoints[:, 1] / hands[LEFT].keypoints[:, 2] * F + 127.5
    move = (-0.5 - 0.5 * (y.min() + y.max())) / F * hands[LEFT].keypoints[0, 2]
    labels, _, _ = _photograph(shift=(0, float(move), 0))
    cut = labels[LEFT]
    assert (cut.flags == OUTSIDE).any() and cut.box[1] >= -0.5
    line = label_lines([cut], SIZE, SIZE).split()
    assert line[0] == "0" and len(line) == 5 + 63
    values = np.array(line[5:], float).reshape(21, 3)
    assert (values[cut.flags == OUTSIDE] == 0).all()
    assert (values >= 0).all() and (values[:, :2] <= 1).all()


def test_a_file_counts_from_the_border():
    keypoints, flags = np.zeros((21, 2)), np.full(21, VISIBLE)
    whole = SeenHand(
        RIGHT, np.array([-0.5, -0.5, 63.5, 31.5]), keypoints, flags, np.zeros((21, 3)), 1.0
    )
    values = np.array(label_lines([whole], 64, 32).split(), float)
    assert values[:5].tolist() == [1, 0.5, 0.5, 1, 1]
    assert values[5:8].tolist() == [0.007812, 0.015625, 2]  # the middle of the first pixel


def test_no_hands_make_an_empty_file():
    assert label_lines([], 64, 64) == ""
