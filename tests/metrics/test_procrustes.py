from __future__ import annotations

import numpy as np
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from wilor_yolo.metrics.procrustes import align_similarity, fit_similarity


def _random(seed=0, count=8, points=21):
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 0.05, (count, points, 3))
    turn = Rotation.random(count, rng=rng).as_matrix()
    scale, shift = rng.uniform(0.5, 2, count), rng.normal(0, 1, (count, 3))
    b = scale[:, None, None] * a @ turn.transpose(0, 2, 1) + shift[:, None]
    return a, b, scale, turn, shift


def test_recovers_a_known_similarity():
    a, b, scale, turn, shift = _random()
    fit = fit_similarity(a, b)
    np.testing.assert_allclose(fit.scale, scale, rtol=1e-9)
    np.testing.assert_allclose(fit.rotation, turn, atol=1e-9)
    np.testing.assert_allclose(fit.translation, shift, atol=1e-9)
    np.testing.assert_allclose(align_similarity(a, b), b, atol=1e-10)


def test_agrees_with_scipy_on_noisy_points():
    a, b, *_ = _random(1)
    b = b + np.random.default_rng(2).normal(0, 0.005, b.shape)
    ours = align_similarity(a, b)
    for i in range(len(a)):
        # The FreiHAND recipe: centre, unit Frobenius norm, scipy's rotation and its scale.
        ca, cb = a[i] - a[i].mean(0), b[i] - b[i].mean(0)
        na, nb = np.linalg.norm(ca), np.linalg.norm(cb)
        rotation, s = orthogonal_procrustes(cb / nb, ca / na)
        assert np.linalg.det(rotation) > 0
        theirs = (ca / na) @ rotation.T * s * nb + b[i].mean(0)
        np.testing.assert_allclose(ours[i], theirs, atol=1e-9)


def test_reflections_are_forbidden():
    a, *_ = _random(3)
    mirrored = a * [-1, 1, 1]
    fit = fit_similarity(a, mirrored)
    np.testing.assert_allclose(np.linalg.det(fit.rotation), 1, atol=1e-9)
    assert np.abs(align_similarity(a, mirrored) - mirrored).max() > 0.005
    rotation, _ = orthogonal_procrustes(mirrored[0] - mirrored[0].mean(0), a[0] - a[0].mean(0))
    assert np.linalg.det(rotation) < 0  # scipy would have reflected


def test_no_better_rotation_exists():
    a, *_ = _random(4, count=1)
    b = a * [-1, 1, 1]
    best = np.square(align_similarity(a, b) - b).sum()
    ca, cb = a[0] - a[0].mean(0), b[0] - b[0].mean(0)
    for turn in Rotation.random(2000, rng=np.random.default_rng(5)).as_matrix():
        turned = ca @ turn.T
        s = max((turned * cb).sum() / np.square(ca).sum(), 0)  # negative: a reflection
        assert np.square(s * turned - cb).sum() >= best - 1e-12


def test_degenerate_points_do_not_explode():
    a = np.zeros((1, 21, 3))
    b = np.random.default_rng(0).normal(size=(1, 21, 3))
    out = align_similarity(a, b)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out[0, 0], b[0].mean(0), atol=1e-9)
