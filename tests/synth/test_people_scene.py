from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.arm_gestures import GESTURES
from wilor_yolo.synth.body import load_body
from wilor_yolo.synth.people import make_person
from wilor_yolo.synth.people_scene import KINDS, _without_hands, sample_scene
from wilor_yolo.synth.pieces import NO_HAND
from wilor_yolo.synth.scene_camera import is_free


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_scenes_are_complete_and_numbered(kind):
    scene = sample_scene(np.random.default_rng(2), 160, 120, [kind])
    assert scene.kind == kind and scene.intrinsics.shape == (3, 3)
    numbers = np.unique(
        np.concatenate([p.hand for p in scene.pieces if p.hand is not None] or [[-1]])
    )
    assert numbers.max() < len(scene.hands)
    for piece in scene.pieces:
        assert np.isfinite(piece.vertices).all() and piece.faces.max() < len(piece.vertices)
    for number, hand in enumerate(scene.hands):
        own = [p.vertices[p.faces[p.hand == number]] for p in scene.pieces if p.hand is not None]
        centre = np.concatenate([v.reshape(-1, 3) for v in own]).mean(0)
        assert np.linalg.norm(centre - hand.keypoints.mean(0)) < 0.08


def test_first_person_views_show_ones_own_hands():
    left, right, seen = [], [], 0
    for seed in range(12):
        scene = sample_scene(np.random.default_rng(seed), 640, 640, ["first_person"])
        for hand in scene.hands:
            x, y, z = hand.keypoints.mean(0)
            if z > 0.1:
                pixel = scene.intrinsics @ [x / z, y / z, 1]
                seen += bool((pixel[:2] > 0).all() and (pixel[:2] < 640).all())
                (left if hand.side == LEFT else right).append(x)
    assert seen > 12
    assert np.median(left) < np.median(right)


def test_groups_have_several_people_and_both_sides():
    scene = sample_scene(np.random.default_rng(0), 640, 480, ["group"])
    assert len(scene.hands) >= 3
    assert {hand.side for hand in scene.hands} == {LEFT, RIGHT}


def test_no_hands_in_close_ups_without_hands():
    for seed in range(10):
        scene = sample_scene(np.random.default_rng(seed), 320, 320, ["no_hands"])
        for piece in scene.pieces:
            if piece.hand is not None and not scene.hands:
                assert (piece.hand == -1).all()


def test_faces_without_hands_keep_eyes_and_hair():
    rng = np.random.default_rng(3)
    goals = {LEFT: GESTURES["hold_phone"], RIGHT: GESTURES["hold_round"]}
    person = make_person(load_body(), rng, goals)
    held = [piece for piece in person.pieces if piece.hand is None]
    left = _without_hands(person)
    assert held and len(left.pieces) == len(person.pieces) - len(held)
    eyes = np.linalg.norm(
        np.concatenate([p.vertices for p in left.pieces[-2:]]) - person.eyes, axis=1
    )
    assert eyes.min() < 0.05 and not left.keypoints
    assert not any((piece.hand != NO_HAND).any() for piece in left.pieces)


def test_touching_hands_are_close_together_sitting_or_standing():
    nearest = []
    for seed in range(24):
        scene = sample_scene(np.random.default_rng(seed), 320, 320, ["touching"])
        one, other = (hand.keypoints for hand in scene.hands)
        nearest.append(np.linalg.norm(one[:, None] - other[None], axis=2).min())
    assert max(nearest) < 0.25 and np.median(nearest) < 0.08


def test_cameras_from_any_side_look_past_the_body():
    rng = np.random.default_rng(0)
    goals = {LEFT: GESTURES["clasp_over"], RIGHT: GESTURES["hang"]}
    person = make_person(load_body(), rng, goals)
    person = person.moved(np.eye(3), np.array([0, 0, -person.floor]))
    hand = person.keypoints[LEFT].mean(0)
    outward = (hand - person.chest) * [1, 1, 0]
    assert is_free(person, hand, hand + 6 * outward)
    assert not is_free(person, hand, hand - 6 * outward)  # through the trunk
    assert not is_free(person, hand, hand + 2 * (person.eyes - hand))
    assert not is_free(person, hand, hand * [1, 1, 0] - [0, 0, 0.5])  # under the floor
