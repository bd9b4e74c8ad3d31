"""Fusion against cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wilor_yolo.annotate.candidates import HandCandidates
from wilor_yolo.annotate.fusion import (
    agreement,
    fuse,
    fuse_boxes,
    fuse_keypoints,
    group_candidates,
    suppress_doubles,
    vote_side,
)
from wilor_yolo.errors import HandError
from wilor_yolo.metrics.detection import UNKNOWN
from wilor_yolo.skeleton import LEFT, RIGHT


def one(box, score=0.8, side=UNKNOWN, keypoints=None) -> HandCandidates:
    return HandCandidates(
        np.array([box]),
        np.array([score]),
        np.array([side]),
        keypoints=None if keypoints is None else np.asarray(keypoints)[None],
    )


def test_box_is_the_mean_weighted_by_confidence() -> None:
    boxes = np.array([[0, 0, 10, 10], [10, 0, 20, 20]], float)
    # weights 0.75 and 0.25: x0 = 2.5, x1 = 12.5, y1 = 12.5
    assert fuse_boxes(boxes, np.array([0.75, 0.25])).tolist() == [2.5, 0, 12.5, 12.5]
    assert fuse_boxes(boxes, np.zeros(2)).tolist() == [5, 0, 15, 15]


def test_groups_take_one_box_of_each_detector() -> None:
    # Detector 0 sees two crossed hands; both overlap detector 1's two boxes.
    first = np.array([[0, 0, 100, 100], [30, 0, 130, 100]], float)
    second = np.array([[28, 0, 128, 100], [2, 0, 102, 100]], float)
    alone = np.array([[500, 500, 600, 600]], float)
    assert group_candidates([first, second, alone]) == [
        [(0, 0), (1, 1)],
        [(0, 1), (1, 0)],
        [(2, 0)],
    ]


def test_grouping_needs_overlap() -> None:
    # IoU of a 100 x 100 box and one shifted by 60: 4000 / 16000 = 0.25.
    boxes = [np.array([[0, 0, 100, 100]], float), np.array([[60, 0, 160, 100]], float)]
    assert len(group_candidates(boxes, 0.3)) == 2
    assert len(group_candidates(boxes, 0.25)) == 1


def test_side_vote() -> None:
    sides = np.array([LEFT, RIGHT, UNKNOWN, RIGHT])
    side, margin = vote_side(sides, np.array([0.9, 0.5, 1.0, 0.7]))
    assert side == RIGHT and margin == pytest.approx(0.3 / 2.1)
    assert vote_side(sides[:2], np.array([0.5, 0.5])) == (UNKNOWN, 0.0)
    assert vote_side(sides[2:3], np.array([1.0])) == (UNKNOWN, 0.0)


def test_a_voice_for_a_side_weighs_confidence_times_sureness_of_the_side() -> None:
    box = [0, 0, 10, 10]
    found = {"a": one(box, 0.8, LEFT), "b": one(box, 0.6, RIGHT)}  # which do not tell how sure
    assert fuse(found)[0].side_margin == pytest.approx((0.64 - 0.36) / (0.64 + 0.36))
    found["b"] = replace(found["b"], side_confidence=np.array([1.0]))
    assert fuse(found)[0].side_margin == pytest.approx((0.64 - 0.6) / (0.64 + 0.6))


def test_landmarks_mean_and_outlier() -> None:
    a, b, c = (np.zeros((21, 3)) for _ in range(3))
    a[:, 2], b[:, 2], c[:, 2] = 1, 1, 1
    b[:, 0] = 4
    c[:, 0] = 40  # 40 px off in a hand of 100 px
    fused = fuse_keypoints(np.stack((a, b, c)), np.array([0.6, 0.2, 0.2]), 100.0)
    assert fused[:, 0] == pytest.approx(1.0)  # (0.6 * 0 + 0.2 * 4) / 0.8
    assert fused[:, 2] == pytest.approx(0.8)  # one fifth of the weight was thrown out


def test_of_two_that_differ_the_heavier_is_taken() -> None:
    a, b = np.ones((21, 3)), np.ones((21, 3))
    b[:, :2] = 90
    fused = fuse_keypoints(np.stack((a, b)), np.array([0.3, 0.6]), 100.0)
    assert fused[0].tolist() == pytest.approx([90, 90, 2 / 3])


def test_unknown_joints_stay_unknown() -> None:
    a, b = np.zeros((21, 3)), np.zeros((21, 3))
    a[5] = 10, 20, 0.5
    b[6] = 30, 40, 1.0
    fused = fuse_keypoints(np.stack((a, b)), np.array([1.0, 1.0]), 100.0)
    assert fused[5].tolist() == [10, 20, 0.25] and fused[6].tolist() == [30, 40, 0.5]
    assert not fused[[i for i in range(21) if i not in (5, 6)]].any()


def test_agreement() -> None:
    same = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], float)
    assert agreement(same, 2) == 1
    assert agreement(same, 3) == pytest.approx(1 / 3)  # the third detector missed the hand
    half = np.array([[0, 0, 10, 10], [0, 0, 10, 5]], float)
    assert agreement(half, 2) == pytest.approx(0.5)
    assert agreement(same[:1], 2) == 0
    assert np.isnan(agreement(same[:1], 1))


def test_doubles_of_one_detector_have_one_vote() -> None:
    boxes = np.array([[0, 0, 100, 100], [3, 0, 103, 100], [300, 0, 400, 100]], float)
    kept = suppress_doubles(HandCandidates(boxes, np.array([0.5, 0.9, 0.4])))
    assert kept.confidence.tolist() == [0.9, 0.4]


def test_fuse_the_whole() -> None:
    points = np.ones((21, 3))
    found = {
        "a": one([0, 0, 100, 100], 0.9, RIGHT, points),
        "b": one([10, 0, 110, 100], 0.3, LEFT),
        "failed": None,
    }
    (hand,) = fuse(found)
    assert hand.box.tolist() == pytest.approx([2.5, 0, 102.5, 100])
    assert hand.confidence == pytest.approx(0.6)  # of the two that looked
    assert hand.side == RIGHT and hand.side_margin == pytest.approx((0.81 - 0.09) / 0.9)
    assert hand.agreement == pytest.approx(90 / 110)
    assert hand.votes == {"a": 0.9, "b": 0.3}
    assert hand.keypoints is not None and hand.keypoints[:, 2].tolist() == [1.0] * 21
    (trusted,) = fuse(found, trust={"b": 3.0})
    assert trusted.box.tolist() == pytest.approx([5, 0, 105, 100])


def test_a_detector_that_missed_the_hand_lowers_confidence() -> None:
    (hand,) = fuse({"a": one([0, 0, 9, 9], 0.8), "b": HandCandidates.none()})
    assert hand.confidence == pytest.approx(0.4) and hand.agreement == 0
    assert fuse({"a": None}) == [] and fuse({}) == []


def test_candidates_drop_nonsense_and_refuse_misfits() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, np.nan, 5], [5, 5, 5, 9]], float)
    assert len(HandCandidates(boxes, np.full(3, 0.5))) == 1
    with pytest.raises(HandError, match="one of each"):
        HandCandidates(boxes, np.zeros(2))
    with pytest.raises(HandError, match="sides"):
        HandCandidates(boxes[:1], np.zeros(1), np.array([7]))


def test_joined_and_shifted() -> None:
    points = np.ones((21, 3))
    both = HandCandidates.joined([one([0, 0, 9, 9]), one([5, 5, 9, 9], keypoints=points)])
    moved = both.shifted(10, 20)
    assert moved.boxes[0].tolist() == [10, 20, 19, 29]
    assert moved.keypoints is not None
    assert moved.keypoints[1, 0].tolist() == [11, 21, 1] and moved.keypoints[0, 0, 2] == 0


def test_the_heaviest_complete_guess_in_3d_is_kept() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float)
    first, second = np.full((21, 3), 1.0), np.full((21, 3), 2.0)
    torn = second.copy()
    torn[3] = np.nan
    sure = HandCandidates(boxes, np.array([0.9, 0.9]), joints_3d=np.stack([first, torn]))
    weak = HandCandidates(boxes, np.array([0.3, 0.3]), joints_3d=np.stack([second, second]))
    none = HandCandidates(boxes, np.array([0.99, 0.99]))
    left, right = sorted(fuse({"a": sure, "b": weak, "c": none}), key=lambda hand: hand.box[0])
    assert left.joints_3d is not None and (left.joints_3d == 1).all()
    assert right.joints_3d is not None and (right.joints_3d == 2).all()
    assert all(hand.joints_3d is None for hand in fuse({"c": none}))
    moved = sure[[0]].shifted(5, 5)
    assert moved.joints_3d is not None and (moved.joints_3d == 1).all()  # no pixels
    with pytest.raises(HandError, match="3D joints"):
        HandCandidates(boxes, np.array([0.9, 0.9]), joints_3d=np.zeros((2, 20, 3)))
