from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from wilor_yolo.metrics.pose import (
    auc,
    f_scores,
    pa_errors,
    point_errors,
    relative_2d_errors,
    root_relative_errors,
)


def test_units_are_millimetres():
    a = np.zeros((2, 21, 3))
    b = a + np.array([0.003, 0.004, 0])
    np.testing.assert_allclose(point_errors(a, b), 5.0)
    np.testing.assert_allclose(root_relative_errors(a, b), 0.0)


def test_pa_errors_ignore_similarity_and_honour_use():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 0.05, (4, 21, 3))
    np.testing.assert_allclose(pa_errors(a, 1.7 * a + 3), 0, atol=1e-6)
    b = a.copy()
    b[:, 0] += 0.1  # a displaced wrist spoils all joints unless it is left out
    assert pa_errors(a, b).mean() > 3
    use = tuple(range(1, 21))
    assert pa_errors(a, b, use).shape == (4, 20)
    np.testing.assert_allclose(pa_errors(a, b, use), 0, atol=1e-6)


def test_f_score_against_a_tree():
    rng = np.random.default_rng(1)
    a = rng.normal(0, 0.05, (3, 200, 3))
    b = a + rng.normal(0, 0.004, a.shape)
    ours = f_scores(a, b, (5.0, 15.0))
    for column, threshold in enumerate((5.0, 15.0)):
        for i in range(3):
            near_b = cKDTree(b[i]).query(a[i])[0] < threshold / 1000
            near_a = cKDTree(a[i]).query(b[i])[0] < threshold / 1000
            p, r = near_b.mean(), near_a.mean()
            np.testing.assert_allclose(ours[i, column], 2 * p * r / (p + r), atol=1e-9)
    assert f_scores(a, a + 1).max() == 0.0
    # Just at the threshold is not near, as in FreiHAND's protocol.
    point, other = np.zeros((1, 1, 3)), np.array([[[1.0, 0, 0]]])
    assert f_scores(point, other, (1000.0, 1001.0)).tolist() == [[0.0, 1.0]]


def test_auc():
    # Errors uniform on 0..50 mm give a straight PCK curve: area one half.
    uniform = np.linspace(0, 50, 20001)
    np.testing.assert_allclose(auc(uniform), 0.5, atol=1e-3)
    assert auc(np.zeros(5)) == 1.0
    assert auc(np.full(5, 51.0)) == 0.0


def test_auc_against_direct_integration():
    errors = np.random.default_rng(2).gamma(2, 6, 3000)
    grid = np.linspace(0, 50, 100)
    curve = np.array([(errors <= t).mean() for t in grid])
    np.testing.assert_allclose(auc(errors), np.trapezoid(curve, grid) / 50, atol=1e-9)


def test_relative_2d_errors():
    target = np.zeros((1, 3, 3))
    target[0, :, 2] = [1.0, 0.2, 0.9]
    points = np.array([[[3.0, 4.0], [9.0, 9.0], [0.0, 10.0]]])
    out = relative_2d_errors(points, target, np.array([50.0]), 0.5)
    np.testing.assert_allclose(out[0, [0, 2]], [0.1, 0.2])
    assert np.isnan(out[0, 1])
