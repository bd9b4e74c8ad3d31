from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from wilor_yolo.synth.free_hand.flesh import (
    Flesh,
    bone_moves,
    dual_quaternion_skin,
    linear_skin,
    volumes,
)
from wilor_yolo.synth.hand_mesh import FineHand
from wilor_yolo.synth.poses import NAMED_POSES
from wilor_yolo.synth.rotations import rotation_matrices
from wilor_yolo.weights_dir import shipped


@pytest.fixture(scope="module")
def flesh() -> Flesh:
    with np.load(shipped("free_hand/hand_right.npz")) as data:
        return Flesh.of_hand(data)


def _moves(flesh: Flesh, *names: str) -> np.ndarray:
    poses = np.stack([NAMED_POSES[name] for name in names])
    return bone_moves(rotation_matrices(poses), flesh.joints)


def test_linear_skinning_is_the_hand_layers(flesh):
    hand = FineHand()
    hand.posedirs = np.zeros_like(hand.posedirs)
    ours, _ = linear_skin(flesh.template, flesh.weights, _moves(flesh, "fist"))
    theirs = hand.posed(NAMED_POSES["fist"], np.zeros(10)).model_vertices
    np.testing.assert_allclose(ours[0], theirs, atol=1e-6)


def test_both_skinnings_move_one_bones_vertices_alike(flesh):
    moves = _moves(flesh, "fist", "three", "spread")  # the fist's last bones turn past 180 degrees
    linear, _ = linear_skin(flesh.template, flesh.weights, moves)
    dual = dual_quaternion_skin(flesh.template, flesh.weights, moves)
    alone = flesh.weights.max(1) == 1
    assert alone.sum() > 100
    np.testing.assert_allclose(dual[:, alone], linear[:, alone], atol=1e-9)
    assert 0.002 < np.abs(dual - linear).max() < 0.02


def test_volume_of_a_cube():
    corners = np.array(np.meshgrid([0.0, 2], [0, 2], [0, 2], indexing="ij")).reshape(3, 8).T
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    assert volumes(corners[None], faces) == pytest.approx(8.0)


def test_targets_give_back_half_of_the_lost_flesh_and_hold_the_bones(flesh):
    moves = _moves(flesh, "fist", "pinch", "flat")
    plain, _ = linear_skin(flesh.template, flesh.weights, moves)
    target = flesh.targets(moves, plain)
    rest = float(volumes(flesh.template[None], flesh.closed)[0])
    lost = rest - volumes(plain, flesh.closed)
    assert lost[0] > 0.1 * rest and lost[1] > 0.05 * rest
    np.testing.assert_allclose(rest - volumes(target, flesh.closed), lost / 2, atol=1e-3 * rest)
    assert np.abs(target - plain)[:, flesh.rigid].max() < 5e-4
    assert np.abs(target - plain)[:2].max() > 2e-3
    np.testing.assert_allclose(target[2], flesh.template, atol=1e-6)  # the flat hand is at rest
