from __future__ import annotations

from pathlib import Path

import numpy as np

from wilor_yolo.evaluate.true_pictures import true_hands
from wilor_yolo.metrics.detection import UNKNOWN
from wilor_yolo.records import AnnotatedHand, PictureRecord
from wilor_yolo.skeleton import LEFT, RIGHT


def record(**known) -> PictureRecord:
    return PictureRecord(Path("a.jpg"), "s", 100, 100, **known)


def square(x: float, side: int = LEFT, score: float = 0.95) -> AnnotatedHand:
    steps = np.linspace(0, 20, 21)
    return AnnotatedHand(side, np.stack((x + steps, 10 + steps), 1), score)


def test_truth_of_boxes() -> None:
    boxes = np.array([[8.0, 8, 32, 32], [58, 8, 82, 32], [0, 60, 20, 80]])
    found = (square(60, RIGHT), square(10), square(0, score=0.9))
    true, complete = true_hands(record(boxes=boxes, boxes_complete=True, found=found))
    assert true.sides.tolist() == [LEFT, RIGHT, UNKNOWN] and complete
    np.testing.assert_array_equal(true.keypoints[1], found[0].keypoints)
    assert np.isnan(true.keypoints[2]).all()


def test_truth_of_measured_joints_and_of_nothing() -> None:
    true, complete = true_hands(record(true_hand=square(10, RIGHT)))
    assert true.sides.tolist() == [RIGHT] and complete
    np.testing.assert_allclose(true.boxes, [[8.5, 8.5, 32.5, 32.5]])  # K counts from pixel 0
    nothing, complete = true_hands(record())
    assert len(nothing) == 0 and complete
    assert true_hands(record(found=(square(10),))) is None
