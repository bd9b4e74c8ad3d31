from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.skeleton import LEFT, RIGHT
from wilor_yolo.synth.arm_gestures import GESTURES
from wilor_yolo.synth.body import load_body
from wilor_yolo.synth.held_objects import (
    carried_box,
    clutter,
    held_object,
    skin_coloured_thing,
    wrist_band,
)
from wilor_yolo.synth.people import make_person

KINDS = sorted({kind for goal in GESTURES.values() for kind in goal.holds})


@pytest.fixture(scope="module")
def person():
    goals = {LEFT: GESTURES["hold_round"], RIGHT: GESTURES["hold_phone"]}
    return make_person(load_body(), np.random.default_rng(3), goals)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_things_are_in_the_hand(person, kind, side):
    points, palm = person.keypoints[side], person.palms[side]
    pieces = held_object(kind, points, palm, np.random.default_rng(0))
    vertices = np.concatenate([piece.vertices for piece in pieces])
    assert np.isfinite(vertices).all() and np.ptp(vertices, axis=0).max() < 1.2
    share = np.linspace(0, 1, 15)[:, None, None, None]  # along the edges: tools have long faces
    corners = np.concatenate([piece.vertices[piece.faces] for piece in pieces])
    edges = ((1 - share) * corners + share * np.roll(corners, 1, axis=1)).reshape(-1, 3)
    nearest = min(np.linalg.norm(edges - point, axis=1).min() for point in points)
    assert nearest < 0.06
    assert all(piece.hand is None for piece in pieces)


def test_unknown_things_are_refused(person):
    with pytest.raises(ValueError, match="anvil"):
        held_object("anvil", person.keypoints[0], person.palms[0], np.random.default_rng(0))


def test_a_carried_box_fits_between_the_palms():
    a, b = np.array([0.2, -0.4, 0.3]), np.array([-0.15, -0.4, 0.3])
    (piece,) = carried_box((a, b), np.random.default_rng(0))
    assert -0.15 < piece.vertices[:, 0].min() < piece.vertices[:, 0].max() < 0.2
    assert carried_box((a, a + 0.01), np.random.default_rng(0)) == []


def test_bands_lie_around_the_forearm():
    wrist, elbow = np.zeros(3), np.array([0, 0, 0.24])
    for seed in range(6):
        rng = np.random.default_rng(seed)
        for piece in wrist_band(wrist, elbow, np.array([1.0, 0, 0]), rng):
            assert (np.abs(piece.vertices[:, 2] - 0.025) < 0.04).all()
            assert np.linalg.norm(piece.vertices[:, :2], axis=1).max() < 0.05


def test_clutter_stands_on_the_ground_and_decoys_have_the_skins_colour():
    rng = np.random.default_rng(0)
    tone = np.array([0.5, 0.3, 0.2])
    for _ in range(25):
        for piece in clutter(rng, 0.2):
            assert piece.vertices[:, 2].min() > -0.05 and np.ptp(piece.vertices, axis=0).max() < 0.6
        for piece in skin_coloured_thing(rng, tone):
            np.testing.assert_allclose(piece.albedo / piece.albedo[:, :1], [[1, 0.6, 0.4]] * len(
                piece.albedo), rtol=1e-4)  # fmt: skip
