"""Shape components, joint regression, proportions: properties on small made-up hands."""

from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.synth.free_hand.arm import WRIST_POSITION, FlatArms, skin_affine
from wilor_yolo.synth.free_hand.hand_mesh import quantise_weights
from wilor_yolo.synth.free_hand.pose_space import fit_pose_space
from wilor_yolo.synth.free_hand.proportions import MEAN_LENGTH, vary_proportions
from wilor_yolo.synth.free_hand.regressor import fit_joint_regressor
from wilor_yolo.synth.free_hand.shape_space import explain_with_betas, fit_shape_space
from wilor_yolo.weights_dir import shipped


def _arms(count: int) -> FlatArms:
    """The shipped mean hand, `count` times, scaled: enough to exercise the proportions."""
    with np.load(shipped("free_hand/hand_right.npz")) as hand:
        vertices, joints = hand["v_template"].astype(float), hand["J"].astype(float)
        weights = np.concatenate([hand["weights"], np.zeros((len(vertices), 1))], 1)
    tips = vertices[[320, 443, 671, 554, 744]]
    scale = np.linspace(0.9, 1.1, count)[:, None, None]

    def scaled(part: np.ndarray) -> np.ndarray:
        return (part[None] - WRIST_POSITION) * scale + WRIST_POSITION

    return FlatArms(scaled(vertices), scaled(joints), scaled(tips), weights)


def test_components_rebuild_low_rank_shapes_with_unit_betas():
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(10, 40 * 3)) * np.geomspace(1, 0.1, 10)[:, None]
    vertices = (rng.normal(size=(200, 10)) @ basis + 1.0).reshape(200, 40, 3)
    size = vertices[:, 0, 0]
    space = fit_shape_space(vertices, size)
    rebuilt = space.mean + np.einsum("vck,nk->nvc", space.directions, space.betas)
    np.testing.assert_allclose(rebuilt, vertices, atol=1e-8)
    np.testing.assert_allclose(np.cov(space.betas.T), np.eye(10), atol=1e-8)
    assert (np.diff(space.explained) <= 0).all()
    assert (space.betas.T @ (size - size.mean()) >= -1e-9).all()
    mean, directions = explain_with_betas(2 * vertices, space.betas)
    np.testing.assert_allclose(mean, 2 * space.mean, atol=1e-8)
    np.testing.assert_allclose(directions, 2 * space.directions, atol=1e-8)


def test_regressor_finds_joints_that_are_averages():
    rng = np.random.default_rng(1)
    vertices = rng.normal(size=(1, 80, 3)) * 0.1 + rng.normal(size=(150, 80, 3)) * 0.01
    truth = np.zeros((2, 80))
    for j in range(2):
        near = np.argsort(np.linalg.norm(vertices.mean(0), axis=1))[4 * j : 4 * j + 4]
        truth[j, near] = 0.25
    found = fit_joint_regressor(vertices, truth @ vertices)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1)
    error = np.linalg.norm((found - truth) @ vertices, axis=-1)
    assert error.mean() < 1e-3


def test_proportions_keep_the_mean_length_and_vary_each_finger():
    arms = vary_proportions(_arms(20), copies=10, seed=0)
    assert len(arms.vertices) == 1 + 10 * 19
    length = np.linalg.norm(arms.tips[:, 1] - arms.joints[:, 0], axis=1)
    assert length[0] == pytest.approx(MEAN_LENGTH)
    assert length[1:].mean() == pytest.approx(MEAN_LENGTH)
    fingers = np.linalg.norm(arms.tips[1:] - arms.joints[1:, [1, 4, 7, 10, 13]], axis=2)
    spread = fingers.std(0) / fingers.mean(0)
    assert (spread > 0.03).all() and (spread < 0.10).all()
    # One finger's length says little about its neighbour's beyond overall size.
    relative = fingers / length[1:, None]
    assert abs(np.corrcoef(relative[:, 0], relative[:, 2])[0, 1]) < 0.6
    again = vary_proportions(_arms(20), copies=10, seed=0)
    assert np.array_equal(arms.vertices, again.vertices)


def test_identity_stretch_moves_nothing():
    arms = _arms(2)
    linear = np.tile(np.eye(3), (2, 17, 1, 1))
    moved = skin_affine(arms.vertices, arms.joints, arms.tips, arms.weights, linear)
    for new, old in zip(moved, (arms.vertices, arms.joints, arms.tips), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-7)


def test_quantised_weights_sum_to_one_exactly_in_half_precision():
    rng = np.random.default_rng(0)
    weights = quantise_weights(rng.dirichlet(np.full(17, 0.3), 500))
    assert np.array_equal(weights.astype(np.float16).astype(np.float64), weights)
    assert (weights.sum(1) == 1).all() and (weights >= 0).all()


def test_pose_space_is_deterministic_and_orthonormal():
    mean, components = fit_pose_space(count=100)
    np.testing.assert_allclose(components @ components.T, np.eye(45), atol=1e-9)
    assert mean.shape == (45,)
    assert np.array_equal(components, fit_pose_space(count=100)[1])
