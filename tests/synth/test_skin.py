from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.skeleton import TIP_VERTICES
from wilor_yolo.synth.hand_mesh import FineHand
from wilor_yolo.synth.scene import Points
from wilor_yolo.synth.skin import HandSkin, random_look, skin_albedo


@pytest.fixture(scope="module")
def hand():
    return FineHand()


def _all_faces(hand):
    n = len(hand.faces)
    third = np.full(n, 1 / 3, np.float32)
    rest = hand.fine_template[hand.faces].mean(1)
    return Points(rest, np.arange(n), third, third, np.full(n, 0.0005))


def test_tones_run_from_light_to_dark():
    brightness = [skin_albedo(t).mean() for t in np.linspace(0, 9, 19)]
    assert (np.diff(brightness) < 0).all()
    assert brightness[0] > 0.4 and brightness[-1] < 0.05


def test_nails_sit_on_the_backs_of_the_finger_ends(hand):
    points = _all_faces(hand)
    nail = HandSkin(hand, random_look(np.random.default_rng(0)))._nails(points) > 0.5
    tips = hand.v_template[list(TIP_VERTICES)]
    to_tips = np.linalg.norm(points.rest[:, None] - tips[None], axis=2)
    assert nail.sum() > 20
    assert to_tips[nail].min(1).max() < 0.025
    assert len(np.unique(to_tips[nail].argmin(1))) == 5


def test_left_hands_get_the_same_paint(hand):
    """Turning the faces round swaps corners, not colours."""
    look = random_look(np.random.default_rng(4))
    right, left = HandSkin(hand, look), HandSkin(hand, look, flipped=True)
    points = _all_faces(hand)
    np.testing.assert_array_equal(left.faces, hand.faces[:, ::-1])
    np.testing.assert_allclose(left.surface(points).albedo, right.surface(points).albedo, atol=1e-4)


def test_surfaces_are_physical(hand):
    for seed in range(6):
        surface = HandSkin(hand, random_look(np.random.default_rng(seed))).surface(_all_faces(hand))
        assert np.isfinite(surface.albedo).all()
        assert surface.albedo.min() > 0 and surface.albedo.max() < 1
        assert np.abs(surface.relief).max() < 1
        assert surface.roughness.min() > 0.1


def test_light_spreads_without_gain(hand):
    skin = HandSkin(hand, random_look(np.random.default_rng(0)))
    even = np.tile(np.float32([0.5, 0.6, 0.7, 0.8]), (hand.control, 1))
    known = np.ones(hand.control, bool)
    known[::3] = False  # what the eye cannot see is not measured
    out = skin.spread_light(even, known)
    used = np.unique(hand.faces)
    np.testing.assert_allclose(out[used], np.tile(even[:1], (len(used), 1)), atol=1e-3)
