from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.synth.hand_mesh import FineHand
from wilor_yolo.synth.wearables import _ring, lengthen_arm, sample_wearables


def test_clothes_fit_every_arm():
    hand = FineHand()
    for seed in range(25):
        rng = np.random.default_rng(seed)
        betas = np.clip(rng.normal(0, 1.5, 10), -2.5, 2.5)
        posed = hand.posed(rng.normal(0, 0.2, (16, 3)), betas, rng.normal(0, 0.3, 3))
        for mesh, rest, material in sample_wearables(rng, hand, posed, 1.5):
            assert mesh.vertices.shape == rest.shape
            assert np.isfinite(mesh.vertices).all()
            assert mesh.faces.max() < len(mesh.vertices)
            gaps = np.linalg.norm(mesh.vertices[::7, None] - posed.vertices[None], axis=2).min(1)
            assert gaps.min() < 0.03
            assert material.bounce.shape == (3,)


def test_rings_sit_on_a_finger():
    hand = FineHand()
    rng = np.random.default_rng(0)
    posed = hand.posed(rng.normal(0, 0.3, (16, 3)), np.zeros(10))
    rings = [r for r in (_ring(rng, hand, posed) for _ in range(12)) if r is not None]
    assert len(rings) > 8
    for mesh, _, _ in rings:
        gaps = np.linalg.norm(mesh.vertices[:, None] - posed.vertices[None], axis=2).min(1)
        assert gaps.max() < 0.006


def test_lengthening_leaves_the_hand_alone():
    along = np.array([-0.05, 0.1, 0.2, 0.3])
    points = np.zeros((4, 3))
    out = lengthen_arm(points, along, np.array([1.0, 0, 0]), 2.0)
    np.testing.assert_allclose(out[:, 0], [0, 0, 0, 0.2])
