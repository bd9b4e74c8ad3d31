from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.data.checks import check_joints, check_projection
from wilor_yolo.data.joint_orders import (
    HO3D_TO_OPENPOSE,
    INTERHAND_TO_OPENPOSE,
    MISTAKEN_ORDERS,
)
from wilor_yolo.errors import HandError


def test_posed_hands_of_both_sides_pass(posed_hand):
    for seed in range(60):
        check_joints(posed_hand(seed, is_right=seed % 2 == 0).joints)


@pytest.mark.parametrize("name", sorted(MISTAKEN_ORDERS))
def test_a_wrong_order_is_named(posed_hand, name):
    order = MISTAKEN_ORDERS[name]
    theirs = np.argsort(order)  # ours = theirs[order]
    found = 0
    for seed in range(20):
        joints = posed_hand(seed).joints
        with pytest.raises(HandError, match="joint order") as caught:
            check_joints(joints[theirs])
        found += name in str(caught.value)
    assert found >= 18


@pytest.mark.parametrize(("factor", "word"), [(1000, "millimetres"), (100, "centimetres"), (3, "")])
def test_a_wrong_unit_is_named(posed_hand, factor, word):
    with pytest.raises(HandError, match=f"hand in metres.*{word}"):
        check_joints(posed_hand(0).joints * factor)


def test_wild_joints_and_nan(posed_hand):
    joints = posed_hand(0).joints
    with pytest.raises(HandError, match=r"joint|bones"):
        check_joints(np.random.default_rng(0).permutation(joints))
    joints[3, 1] = np.nan
    with pytest.raises(HandError, match="NaN"):
        check_joints(joints)


def test_projection(posed_hand):
    K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    hand = posed_hand(1)
    keypoints = np.column_stack((hand.keypoints(K), np.ones(21)))
    check_projection(hand.joints, K, keypoints)
    with pytest.raises(HandError, match="px away"):
        check_projection(hand.joints, K, keypoints + np.array([30, 0, 0]))
    with pytest.raises(HandError, match="behind the camera"):
        check_projection(hand.joints * [1, -1, -1], K, keypoints)
    keypoints[:, 2] = 0
    check_projection(hand.joints, K, keypoints + np.array([30, 0, 0]))


def test_permutations_are_permutations():
    for order in (HO3D_TO_OPENPOSE, INTERHAND_TO_OPENPOSE, *MISTAKEN_ORDERS.values()):
        assert sorted(order) == list(range(21))
    # As the facts about the sets' tools state them.
    assert INTERHAND_TO_OPENPOSE == (
        20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16,
    )  # fmt: skip
