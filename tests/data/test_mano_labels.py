"""The user's MANO models, both sides together."""

from dataclasses import replace

import numpy as np

from wilor_yolo.data import mano_labels
from wilor_yolo.data.mano_labels import ManoModels
from wilor_yolo.mano.files import load_hand_model


def test_the_published_sign_fault_is_mended_when_both_sides_are_given(monkeypatch):
    right = load_hand_model()
    faulty = replace(right, side="left")  # x shape directions as the right hand's
    models = {"RIGHT.pkl": right, "LEFT.pkl": faulty}
    monkeypatch.setattr(mano_labels, "load_hand_model", lambda path, side="right": models[path])
    both = ManoModels.load("RIGHT.pkl", "LEFT.pkl")
    assert both.right is right
    np.testing.assert_array_equal(both.left.shapedirs[:, 0], -right.shapedirs[:, 0])
    np.testing.assert_array_equal(both.left.shapedirs[:, 1:], right.shapedirs[:, 1:])
    assert ManoModels.load(None, "LEFT.pkl").left is faulty
