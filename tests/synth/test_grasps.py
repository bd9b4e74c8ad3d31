from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.synth.grasps import hold_something, sample_grasp_pose
from wilor_yolo.synth.hand_mesh import FineHand


def test_held_things_touch_the_hand_and_hardly_enter_it():
    hand, found = FineHand(), 0
    for i in range(30):
        rng = np.random.default_rng(i)
        posed = hand.posed(sample_grasp_pose(rng), np.zeros(10))
        mesh = hold_something(rng, hand, posed)
        if mesh is None:
            continue
        found += 1
        gaps = np.linalg.norm(mesh.vertices[:, None] - posed.model_vertices[None], axis=2)
        assert gaps.min() < 0.03
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.max() < len(mesh.vertices)
    assert found > 15
