from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.metrics.temporal import (
    frame_distance,
    jitter,
    root_translation,
    root_translation_error,
    score_motion,
)


def test_frame_distance_of_known_motion():
    points = np.zeros((5, 7, 3))
    points[:, :, 0] = 0.03 * np.arange(5)[:, None]
    points[:, :, 1] = 0.04 * np.arange(5)[:, None]
    assert frame_distance(points) == pytest.approx(0.05)
    assert root_translation(points[:, 0]) == pytest.approx(0.05)
    assert np.isnan(frame_distance(points[:1]))


def test_jitter_is_the_third_derivative():
    fps, time = 25.0, np.arange(30) / 25.0
    joints = np.zeros((30, 21, 3))
    joints[..., 2] = (4 * time**3 - 2 * time**2 + time)[:, None]  # jerk 24 m/s^3
    assert jitter(joints, fps) == pytest.approx(2.4)
    assert jitter(np.cumsum(np.ones((10, 21, 3)), axis=0), fps) == pytest.approx(0, abs=1e-6)
    assert np.isnan(jitter(joints[:3], fps))


def test_root_translation_error_needs_the_truth():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(6, 3)).cumsum(axis=0)
    assert root_translation_error(truth + 3, truth) == pytest.approx(0, abs=1e-12)
    off = truth.copy()
    off[3] += [0, 0.3, 0]  # two of five steps are off by 0.3
    assert root_translation_error(off, truth) == pytest.approx(0.12)


def test_score_motion_against_loops():
    rng = np.random.default_rng(1)
    vertices, joints = rng.normal(size=(8, 11, 3)), rng.normal(size=(8, 21, 3))
    vertices[4, 2] = np.nan  # not seen
    scores = score_motion(vertices, joints, fps=30)
    steps = [
        np.linalg.norm(vertices[t + 1, i] - vertices[t, i])
        for t in range(7)
        for i in range(11)
        if not np.isnan(vertices[t : t + 2, i]).any()
    ]
    jerks = [
        np.linalg.norm(
            joints[t + 3, i] - 3 * joints[t + 2, i] + 3 * joints[t + 1, i] - joints[t, i]
        )
        for t in range(5)
        for i in range(21)
    ]
    assert scores.frames == 8
    assert scores.mpfve == pytest.approx(np.mean(steps))
    assert scores.mpfje == pytest.approx(np.linalg.norm(np.diff(joints, axis=0), axis=2).mean())
    assert scores.jitter == pytest.approx(np.mean(jerks) * 30**3 / 10)
    assert scores.rte == pytest.approx(np.linalg.norm(np.diff(joints[:, 0], axis=0), axis=1).mean())
