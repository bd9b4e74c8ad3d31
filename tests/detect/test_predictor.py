"""Boxes around surer boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wilor_yolo.detect.model import HandDetector
from wilor_yolo.detect.predictor import HandPredictor, around_surer

HAND = [100.0, 100.0, 160.0, 160.0]


@pytest.mark.parametrize(
    ("other", "score", "dropped"),
    [
        ([90.0, 90.0, 240.0, 165.0], 0.4, True),  # the hand with its arm
        ([90.0, 90.0, 240.0, 165.0], 0.9, False),  # the surer of the two
        ([0.0, 0.0, 400.0, 400.0], 0.4, False),  # a near hand around a far one
        ([130.0, 90.0, 280.0, 165.0], 0.4, False),  # beside it
        ([110.0, 110.0, 150.0, 150.0], 0.4, False),  # inside it
    ],
)
def test_a_box_around_a_surer_one_is_dropped(other, score, dropped):
    boxes, scores = torch.tensor([HAND, other]), torch.tensor([0.7, score])
    assert around_surer(boxes, scores).tolist() == [False, dropped]


def test_equal_boxes_are_both_kept():
    assert not around_surer(torch.tensor([HAND, HAND]), torch.tensor([0.7, 0.6])).any()


def test_prediction_drops_them_unless_boxes_are_asked_for_as_they_come(monkeypatch):
    detector = HandDetector()
    picture = np.zeros((320, 320, 3), np.uint8)
    candidates = torch.zeros(1, 4 + 2 + 63, 2)  # centre, size, score of each side, keypoints
    candidates[0, :4] = torch.tensor([[130.0, 130.0, 60.0, 60.0], [165.0, 127.5, 150.0, 75.0]]).T
    candidates[0, 4] = torch.tensor([0.7, 0.4])
    monkeypatch.setattr(HandPredictor, "inference", lambda self, im, *a, **k: candidates)
    first = detector.predict(picture, imgsz=320, verbose=False)[0]
    assert first.boxes.conf.tolist() == pytest.approx([0.7])
    assert len(first.keypoints) == 1
    both = detector.predict(picture, imgsz=320, verbose=False, agnostic_nms=False)[0]
    assert len(both) == 2
