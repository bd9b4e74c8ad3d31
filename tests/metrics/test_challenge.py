"""The challenges' numbers against scipy and brute force, written independently of the code."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cdist

from wilor_yolo.metrics.challenge import align_scale_translation, score_hands
from wilor_yolo.metrics.pose import f_scores


def scipy_aligned(points, target):
    """FreiHAND's alignment; where its best rotation is a reflection, the best proper one."""
    a, b = points - points.mean(0), target - target.mean(0)
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    a, b = a / na, b / nb
    rotation, scale = orthogonal_procrustes(b, a)
    if np.linalg.det(rotation) < 0:
        u, s, vt = np.linalg.svd(a.T @ b)
        rotation = (u @ np.diag([1, 1, -1]) @ vt).T
        scale = s[0] + s[1] - s[2]
    return a @ rotation.T * scale * nb + target.mean(0)


def brute_f(points, target, limit):
    distance = cdist(points, target)
    p, r = (distance.min(1) < limit).mean(), (distance.min(0) < limit).mean()
    return 0.0 if p + r == 0 else 2 * p * r / (p + r)


def pck_area(errors):
    """As the challenges' EvalUtil: PCK at 100 thresholds up to 50 mm per point, averaged areas."""
    limits = np.linspace(0, 50, 100)
    areas = []
    for column in errors.T:
        curve = [(column <= limit).mean() for limit in limits]
        areas.append(sum((curve[i] + curve[i + 1]) / 2 for i in range(99)) / 99)
    return np.mean(areas)


@pytest.fixture
def hands():
    rng = np.random.default_rng(0)
    true_joints, true_vertices = rng.normal(0, 0.04, (9, 21, 3)), rng.normal(0, 0.04, (9, 778, 3))
    joints = 1.2 * true_joints + rng.normal(0, 0.01, true_joints.shape) + [0.02, 0.01, 0.3]
    vertices = 1.2 * true_vertices + rng.normal(0, 0.008, true_vertices.shape) + [0.02, 0.01, 0.3]
    # A mirrored prediction: scipy alone would turn it inside out and call it nearly perfect.
    joints[0, :, 0], vertices[0, :, 0] = -joints[0, :, 0], -vertices[0, :, 0]
    return joints, vertices, true_joints, true_vertices


def test_against_scipy_and_brute_force(hands):
    joints, vertices, true_joints, true_vertices = hands
    scores = score_hands(*hands, bone=(0, 9))

    def errors(a, b):
        return np.linalg.norm(a - b, axis=-1) * 1000

    pairs = list(zip(joints, true_joints, strict=True))
    meshes = list(zip(vertices, true_vertices, strict=True))
    pa_joints = np.stack([errors(scipy_aligned(a, b), b) for a, b in pairs])
    pa_vertices = np.stack([errors(scipy_aligned(a, b), b) for a, b in meshes])
    expected = {
        "count": 9,
        "pa_mpjpe": pa_joints.mean(),
        "pa_mpvpe": pa_vertices.mean(),
        "auc_joints": pck_area(pa_joints),
        "auc_vertices": pck_area(pa_vertices),
        "f5": np.mean([brute_f(scipy_aligned(a, b), b, 0.005) for a, b in meshes]),
        "f15": np.mean([brute_f(scipy_aligned(a, b), b, 0.015) for a, b in meshes]),
        "root_mpjpe": np.mean([errors(a - a[0], b - b[0]) for a, b in pairs]),
        "root_mpvpe": np.mean(
            [errors(v - a[0], w - b[0]) for (v, w), (a, b) in zip(meshes, pairs, strict=True)]
        ),
        "mpjpe": errors(joints, true_joints).mean(),
        "mpvpe": errors(vertices, true_vertices).mean(),
        "raw_f5": np.mean([brute_f(a, b, 0.005) for a, b in meshes]),
        "raw_f15": np.mean([brute_f(a, b, 0.015) for a, b in meshes]),
    }
    scaled = []
    for a, b in pairs:
        factor = np.linalg.norm(b[9] - b[0]) / np.linalg.norm(a[9] - a[0])
        scaled.append(errors((a - a[0]) * factor + b[0], b))
    expected["scaled_mpjpe"] = np.mean(scaled)
    expected["scaled_auc"] = pck_area(np.stack(scaled))
    got = scores.numbers()
    assert set(got) == set(expected)
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, abs=1e-6), name
    # The mirrored hand is bad, whatever a reflection could do for it.
    assert pa_joints[0].mean() > 2 * pa_joints[1:].mean()


def test_a_perfect_prediction_scores_perfectly(hands):
    _, _, joints, vertices = hands
    scores = score_hands(3 * joints + 1, 3 * vertices + 1, joints, vertices, (0, 4))
    assert scores.pa_mpjpe < 1e-9 and scores.pa_mpvpe < 1e-9
    assert scores.f5 == scores.f15 == 1 and scores.auc_joints > 0.99
    assert scores.scaled_mpjpe < 1e-9 and scores.root_mpjpe > 10


def test_joints_alone_and_other_meshes(hands):
    joints, vertices, true_joints, true_vertices = hands
    scores = score_hands(joints, None, true_joints, true_vertices, (0, 9))
    assert np.isnan([scores.pa_mpvpe, scores.f5, scores.auc_vertices]).all()
    assert scores.pa_mpjpe > 0
    other = score_hands(joints, vertices[:, ::2], true_joints, true_vertices, (0, 9))
    assert np.isnan(other.pa_mpvpe) and 0 < other.f15 <= 1


def test_f_scores_of_different_sizes():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 0.02, (3, 50, 3)) + 5, rng.normal(0, 0.02, (3, 80, 3)) + 5
    got = f_scores(a, b, (2.0, 8.0))
    for i in range(3):
        assert got[i, 0] == pytest.approx(brute_f(a[i], b[i], 0.002), abs=1e-9)
        assert got[i, 1] == pytest.approx(brute_f(a[i], b[i], 0.008), abs=1e-9)


def test_scale_alignment_of_a_degenerate_hand():
    flat = np.zeros((1, 21, 3))
    target = np.random.default_rng(0).normal(size=(1, 21, 3))
    assert np.isfinite(align_scale_translation(flat, target, (0, 4))).all()
