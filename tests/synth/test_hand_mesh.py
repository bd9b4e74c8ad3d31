from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from wilor_yolo.errors import WeightsError
from wilor_yolo.mano.layer import HandLayer
from wilor_yolo.synth.hand_mesh import FOREARM, FineHand
from wilor_yolo.synth.poses import NAMED_POSES
from wilor_yolo.synth.rotations import rotation_matrices


def _random_hand(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.3, (16, 3)), rng.normal(0, 1, 10)


def test_agrees_with_the_hand_layer():
    hand, layer = FineHand(), HandLayer.free()
    for seed in range(3):
        pose, betas = _random_hand(seed)
        posed = hand.posed(pose, betas)
        turns = torch.tensor(rotation_matrices(pose), dtype=torch.float32)[None]
        mesh = layer(turns[:, :1], turns[:, 1:], torch.tensor(betas, dtype=torch.float32)[None])
        np.testing.assert_allclose(mesh.vertices[0].numpy(), posed.model_vertices, atol=2e-6)
        np.testing.assert_allclose(mesh.joints[0].numpy(), posed.joints, atol=2e-6)


def test_picture_and_truth_are_the_same_surface():
    """Every vertex of the model but those of its wrist rim lies on the render mesh."""
    hand = FineHand()
    pose, betas = _random_hand(7)
    posed = hand.posed(pose, betas)
    gaps = [np.linalg.norm(posed.vertices - v, axis=1).min() for v in posed.model_vertices]
    assert np.median(gaps) < 1e-5
    assert (np.array(gaps) > 1e-4).sum() <= 16


def test_correctives_of_the_render_mesh_are_smooth_and_leave_the_forearm():
    hand = FineHand()
    assert (
        np.linalg.norm(hand.fine_posedirs, axis=1).max()
        < 1.1 * np.linalg.norm(hand.posedirs, axis=1).max()
    )
    assert not hand.fine_posedirs[hand.fine_weights[:, FOREARM] > 0.99].any()
    feature = (rotation_matrices(NAMED_POSES["fist"])[1:] - np.eye(3)).ravel()
    moved = hand.fine_posedirs @ feature.astype(np.float32)
    assert np.linalg.norm(moved, axis=1).max() > 0.003
    # No dents between the model's vertices: a neighbour is moved about alike.
    rough = np.linalg.norm(moved - hand.smooth @ moved, axis=1)
    assert rough.mean() < 0.2 * np.linalg.norm(moved, axis=1).mean()
    assert rough.max() < 0.003


def test_forearm_bends_without_moving_the_hand():
    hand = FineHand()
    pose, betas = _random_hand(1)
    straight = hand.posed(pose, betas)
    bent = hand.posed(pose, betas, np.array([0.2, 0.3, -0.4]))
    np.testing.assert_array_equal(straight.joints, bent.joints)
    only_arm = hand.fine_weights[:, FOREARM] > 0.99
    assert only_arm.any()
    moved = np.linalg.norm(straight.vertices - bent.vertices, axis=1)
    assert moved[only_arm].min() > 0.005
    assert moved[hand.fine_weights[:, FOREARM] == 0].max() < 1e-6


def test_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"hand_right\.npz"):
        FineHand(tmp_path)
