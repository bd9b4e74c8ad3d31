"""The chain's scores on answers that are right, on the wrong side, shifted, or not there."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.evaluate.chain import _Found, _summary, evaluate_chain
from wilor_yolo.hands import Hands
from wilor_yolo.records import keypoint_box

K = [[300.0, 0, 80], [0, 300.0, 60], [0, 0, 1]]


@pytest.fixture
def folder(tmp_path):
    """One picture with a measured left hand; one with a sure and an unsure right hand."""
    rng = np.random.default_rng(0)
    joints = (rng.normal(0, 0.03, (21, 3)) + np.array([0, 0, 0.6])).astype(np.float32)
    points = {
        "sure": (rng.uniform(10, 60, (21, 2))).tolist(),
        "unsure": (rng.uniform(90, 140, (21, 2))).tolist(),
    }
    lines = [
        {"file": "a.png", "source": "deep", "joints_3d_m": joints.tolist(), "K": K, "side": "left"},
        {
            "file": "b.png",
            "source": "flat",
            "mediapipe": [
                {"side": "right", "score": 0.9, "keypoints_px": points["sure"]},
                {"side": "right", "score": 0.2, "keypoints_px": points["unsure"]},
            ],
        },
    ]
    for line in lines:
        line |= {"width": 160, "height": 120}
        cv2.imwrite(str(tmp_path / line["file"]), np.zeros((120, 160, 3), np.uint8))
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, lines)))
    flat = joints @ np.array(K).T
    return tmp_path, joints, flat[:, :2] / flat[:, 2:], np.array(points["sure"])


def _hands(boxes, sides, points, joints):
    count = len(boxes)
    return Hands(
        bbox_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        confidence=np.ones(count, np.float32),
        is_right=np.array(sides, bool),
        image_size=(160, 120),
        joints=np.array(joints, np.float32).reshape(-1, 21, 3),
        keypoints_2d=np.array(points, np.float32).reshape(-1, 21, 2),
    )


def test_scores_of_known_answers(folder):
    place, joints, deep, sure = folder
    turned = joints @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)

    def chain(image, intrinsics):
        if intrinsics is not None:  # a false hand first, then the true one, shifted and turned
            boxes = [[0, 0, 9, 9], keypoint_box(deep)]
            return _hands(boxes, [1, 0], [deep, deep + np.array([3, 4])], [joints, turned])
        return _hands([keypoint_box(sure)], [0], [sure], [joints])

    report = evaluate_chain(chain, place)
    found = report.sources["deep"]
    assert (found.hands, found.found, found.side) == (1, 1.0, 1.0)
    box = keypoint_box(deep)
    assert found.error_2d == pytest.approx(5 / (box[2:] - box[:2]).max(), rel=1e-4)
    assert found.pa_mpjpe == pytest.approx(0, abs=1e-2)
    flat = report.sources["flat"]
    assert (flat.hands, flat.found, flat.side) == (1, 1.0, 0.0)  # the unsure hand is no truth
    assert flat.error_2d == pytest.approx(0, abs=1e-6) and np.isnan(flat.pa_mpjpe)
    assert "deep" in str(report) and "5.4 mm" not in str(report)


def test_hands_without_3d_truth_do_not_hide_the_others():
    nan = float("nan")
    near, far = np.full(21, 0.1), np.full(21, 0.3)
    scores = _summary([_Found(True, near, 8.0, 6.0), _Found(True, far, nan, nan), None])
    assert (scores.pa_mpjpe, scores.pa_mpjpe_fingers) == (8.0, 6.0)
    assert scores.error_2d == pytest.approx(0.2)
    assert np.isnan(_summary([_Found(True, far, nan, nan)]).pa_mpjpe)


def test_the_median_is_that_of_all_joints():
    nan, one_off = float("nan"), np.array([1.0] + [0.02] * 20)
    scores = _summary([_Found(True, one_off, nan, nan)])
    assert scores.median_2d == pytest.approx(0.02) and scores.error_2d == pytest.approx(1.4 / 21)


def test_a_hand_that_was_not_found_counts(folder):
    report = evaluate_chain(lambda image, intrinsics: _hands([], [], [], []), folder[0], ["flat"])
    assert list(report.sources) == ["flat"]
    assert report.sources["flat"].found == 0.0 and np.isnan(report.sources["flat"].side)


def test_nothing_to_score(folder):
    with pytest.raises(HandError, match="nothing to score"):
        evaluate_chain(lambda image, intrinsics: _hands([], [], [], []), folder[0], ["other"])
