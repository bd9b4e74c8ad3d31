from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from wilor_yolo.synth.hand_motion import sample_motion, sample_shake
from wilor_yolo.synth.poses import ANGLE_LIMITS

K = np.array([[300, 0, 159.5], [0, 300, 119.5], [0, 0, 1.0]])
TIMES = np.arange(120) / 60


def turns(rotations: np.ndarray) -> np.ndarray:
    """Angles (T - 1,) between neighbours, radians."""
    step = np.einsum("tij,tik->tjk", rotations[:-1], rotations[1:])
    return np.arccos(np.clip((np.trace(step, axis1=1, axis2=2) - 1) / 2, -1, 1))


@pytest.mark.parametrize("seed", range(4))
def test_motion_is_smooth_and_possible(seed: int) -> None:
    motion = sample_motion(np.random.default_rng(seed), TIMES, K, (320, 240))
    assert motion.places.shape == (120, 3) and motion.poses.shape == (120, 16, 3)
    assert motion.places[:, 2].min() > 0.2
    speed = np.linalg.norm(np.diff(motion.places, axis=0), axis=1) * 60
    assert 0.01 < speed.max() < 12  # metres a second
    assert np.abs(np.diff(speed)).max() < 0.12 * max(speed.max(), 0.2)  # no jerks
    spin = turns(motion.rotations) * 60
    assert spin.max() < 20 and np.abs(np.diff(spin)).max() < 0.12 * max(spin.max(), 0.5)
    assert np.einsum("tij,tkj->tik", motion.rotations, motion.rotations) == pytest.approx(
        np.tile(np.eye(3), (120, 1, 1)), abs=1e-6
    )
    assert (motion.angles >= ANGLE_LIMITS[:, 0] - 1e-9).all()
    assert (motion.angles <= ANGLE_LIMITS[:, 1] + 1e-9).all()
    assert np.abs(np.diff(motion.angles, axis=0)).max() < 12  # degrees in a sixtieth of a second
    assert np.ptp(motion.angles, axis=0).max() > 10  # fingers move


def test_same_seed_same_motion_and_cameras_turn_little() -> None:
    one, two = (sample_motion(np.random.default_rng(5), TIMES, K, (320, 240)) for _ in range(2))
    assert np.array_equal(one.poses, two.poses) and np.array_equal(one.places, two.places)
    shakes = [sample_shake(np.random.default_rng(s), TIMES) for s in range(12)]
    still = [np.array_equal(s, np.tile(np.eye(3), (120, 1, 1))) for s in shakes]
    assert any(still) and not all(still)
    for shake in shakes:
        from_rest = np.arccos(np.clip((np.trace(shake, axis1=1, axis2=2) - 1) / 2, -1, 1))
        assert from_rest.max() < np.deg2rad(20) and turns(shake).max() < np.deg2rad(1)
