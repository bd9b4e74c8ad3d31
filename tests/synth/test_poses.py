"""The pose sampler: limits, collisions, determinism, gestures that mean what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.synth import poses
from wilor_yolo.synth.poses import (
    ANGLE_LIMITS,
    ANGLE_NAMES,
    NAMED_ANGLES,
    NAMED_POSES,
    is_self_colliding,
    sample_angles,
    sample_pose,
    skeleton_joints,
)
from wilor_yolo.synth.rotations import rotation_matrices

TIPS = {"index": 16, "middle": 17, "pinky": 18, "ring": 19, "thumb": 20}


def _tip(pose: np.ndarray, finger: str) -> np.ndarray:
    return skeleton_joints(pose)[TIPS[finger]]


def test_flat_is_the_zero_pose():
    np.testing.assert_allclose(NAMED_POSES["flat"], 0, atol=1e-9)


@pytest.mark.parametrize("name", sorted(NAMED_POSES))
def test_named_poses_are_possible(name):
    angles = NAMED_ANGLES[name]
    assert (angles >= ANGLE_LIMITS[:, 0] - 1e-9).all(), ANGLE_NAMES
    assert (angles <= ANGLE_LIMITS[:, 1] + 1e-9).all(), ANGLE_NAMES
    assert not is_self_colliding(NAMED_POSES[name])
    assert (NAMED_POSES[name][0] == 0).all()


def test_gestures_have_their_shapes():
    wrist = skeleton_joints(NAMED_POSES["flat"])[0]

    def reach(pose: str, finger: str) -> float:
        flat = np.linalg.norm(_tip(NAMED_POSES["flat"], finger) - wrist)
        return float(np.linalg.norm(_tip(NAMED_POSES[pose], finger) - wrist) / flat)

    for finger in ("index", "middle", "ring", "pinky"):
        assert reach("fist", finger) < 0.6
        assert reach("thumbs_up", finger) < 0.6
        assert (reach("point", finger) > 0.95) == (finger == "index")
        assert (reach("victory", finger) > 0.95) == (finger in ("index", "middle"))
    # The pads meet: tips lie on the skin, a finger's width from each other at most.
    for name, finger in (("pinch", "index"), ("ok", "index"), ("pinch_middle", "middle")):
        gap = np.linalg.norm(_tip(NAMED_POSES[name], "thumb") - _tip(NAMED_POSES[name], finger))
        assert gap < 0.022
    # In a fist the thumb lies across the fingers, in a thumbs-up far from them.
    fist, up = NAMED_POSES["fist"], NAMED_POSES["thumbs_up"]
    assert np.linalg.norm(_tip(fist, "thumb") - skeleton_joints(fist)[5]) < 0.035
    assert np.linalg.norm(_tip(up, "thumb") - skeleton_joints(up)[1]) > 0.05


def test_sampler_is_deterministic_and_varied():
    one = [sample_pose(np.random.default_rng(5)) for _ in range(2)]
    assert np.array_equal(one[0], one[1])
    rng = np.random.default_rng(5)
    many = np.stack([sample_pose(rng) for _ in range(300)])
    assert many.shape == (300, 16, 3) and np.isfinite(many).all()
    assert (many[:, 0] == 0).all()
    # Every joint moves by a good part of its range.
    assert (many[:, 1:].std(0).max(1) > 0.12).all()


def test_samples_stay_within_the_limits_and_free_of_collisions():
    rng = np.random.default_rng(0)
    angles = np.stack([sample_angles(rng) for _ in range(300)])
    assert (angles >= ANGLE_LIMITS[:, 0]).all() and (angles <= ANGLE_LIMITS[:, 1]).all()
    assert not any(is_self_colliding(sample_pose(rng)) for _ in range(200))


def test_axis_angle_survives_large_turns():
    rng = np.random.default_rng(2)
    for _ in range(50):
        vector = rng.normal(size=3)
        vector *= rng.uniform(0, np.pi - 1e-3) / np.linalg.norm(vector)
        matrix = rotation_matrices(vector)
        np.testing.assert_allclose(poses._axis_angle(matrix), vector, atol=1e-6)


def test_thumb_base_points_where_the_angles_say():
    for radial, palmar in ((10.0, 60.0), (70.0, 5.0), (40.0, 30.0)):
        rotation = poses._thumb_base(radial, palmar, 25.0)
        direction = rotation @ poses.THUMB_REST_DIRECTION
        assert np.degrees(np.arcsin(-direction[1])) == pytest.approx(palmar)
        assert np.degrees(np.arctan2(direction[2], -direction[0])) == pytest.approx(radial)
