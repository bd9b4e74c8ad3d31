from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.annotate.palm_boxes import (
    Palms,
    anchor_centres,
    decode_palms,
    hand_square,
    merge_palms,
)


def test_anchors() -> None:
    anchors = anchor_centres()
    assert anchors.shape == (2016, 2)  # the network's output
    assert anchors[0].tolist() == anchors[1].tolist() == [4, 4]
    assert anchors[2].tolist() == [12, 4]
    assert anchors[24 * 24 * 2].tolist() == [8, 8] and anchors[-1].tolist() == [184, 184]


def test_decoding() -> None:
    regression, logits = np.zeros((2016, 18)), np.full(2016, -200.0)
    regression[5, :6] = 1, -2, 20, 30, 3, 4
    logits[5] = 0.0
    anchors = anchor_centres()
    palms = decode_palms(regression, logits, anchors, 0.5)
    x, y = anchors[5] + (1, -2)
    assert palms.boxes.tolist() == [[x - 10, y - 15, x + 10, y + 15]]
    assert palms.scores.tolist() == [0.5]
    assert palms.keypoints[0, 0].tolist() == (anchors[5] + (3, 4)).tolist()
    assert palms.keypoints[0, 6].tolist() == anchors[5].tolist()


def test_overlapping_palms_become_their_weighted_mean() -> None:
    boxes = np.array([[0, 0, 10, 10], [2, 0, 12, 10], [50, 50, 60, 60]], float)
    keypoints = np.repeat(boxes[:, None, :2], 7, axis=1)
    merged = merge_palms(Palms(boxes, keypoints, np.array([0.9, 0.3, 0.8])))
    assert merged.boxes[0].tolist() == pytest.approx([0.5, 0, 10.5, 10])
    assert merged.keypoints[0, 0].tolist() == pytest.approx([0.5, 0])
    assert merged.scores.tolist() == [0.9, 0.8]
    empty = merge_palms(Palms(np.zeros((0, 4)), np.zeros((0, 7, 2)), np.zeros(0)))
    assert empty.boxes.shape == (0, 4) and empty.keypoints.shape == (0, 7, 2)


@pytest.mark.parametrize(
    ("knuckle", "angle", "centre"),
    [
        ((50.0, 0.0), 0.0, (50, 30)),  # fingers up: the square moves up by half the palm
        ((100.0, 50.0), np.pi / 2, (70, 50)),  # fingers to the right
        ((50.0, 100.0), np.pi, (50, 70)),
    ],
)
def test_hand_square(knuckle: tuple, angle: float, centre: tuple) -> None:
    keypoints = np.zeros((7, 2))
    keypoints[0], keypoints[2] = (50, 50), knuckle
    middle, side, turned = hand_square(np.array([30.0, 30, 70, 70]), keypoints)
    assert middle.tolist() == pytest.approx(centre)
    assert side == pytest.approx(104) and turned == pytest.approx(angle)
