from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics.engine.results import Results

from wilor_yolo.errors import HandError
from wilor_yolo.evaluate.detection import evaluate_detector, format_table, true_hands
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
    np.testing.assert_allclose(true.boxes, [[8, 8, 32, 32]])
    nothing, complete = true_hands(record())
    assert len(nothing) == 0 and complete
    assert true_hands(record(found=(square(10),))) is None


class Oracle:
    """A detector that answers from a table: file name -> rows (x1 y1 x2 y2 score side)."""

    def __init__(self, answers: dict[str, list[list[float]]]) -> None:
        self.answers = answers
        self.sizes: set[object] = set()

    def predict(self, source: str, conf: float, verbose: bool, imgsz: int | None = None):
        assert conf <= 0.01
        self.sizes.add(imgsz)
        boxes = torch.tensor(self.answers[Path(source).name]).reshape(-1, 6)
        points = torch.cat((boxes[:, None, :2].repeat(1, 21, 1), torch.ones(len(boxes), 21, 1)), 2)
        image = cv2.imread(source)
        return [Results(image, source, {0: "left", 1: "right"}, boxes=boxes, keypoints=points)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    box = [10, 10, 50, 50]
    points = [[10.0, 10.0]] * 20 + [[46.6, 46.6]]
    hand = {"side": "left", "score": 0.95, "keypoints_px": points}
    rows = [
        {"source": "whole", "boxes_xyxy": [box], "boxes_complete": True, "mediapipe": [hand]},
        {"source": "whole", "boxes_xyxy": [box], "boxes_complete": True, "mediapipe": []},
        {"source": "part", "boxes_xyxy": [box], "boxes_complete": False, "mediapipe": [hand]},
        {"source": "none"},
        {"source": "unknown", "mediapipe": [hand]},
    ]
    lines = []
    for index, row in enumerate(rows):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((80, 80, 3), np.uint8))
        lines.append(json.dumps(row | {"file": f"{index}.png", "width": 80, "height": 80}))
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_measures_per_source(folder: Path) -> None:
    detector = Oracle(
        {
            "0.png": [[10, 10, 50, 50, 0.9, 0], [60, 60, 70, 70, 0.8, 1]],
            "1.png": [[10, 10, 50, 50, 0.1, 1]],
            "2.png": [[10, 10, 50, 50, 0.9, 1], [60, 60, 70, 70, 0.8, 1]],
            "3.png": [[10, 10, 50, 50, 0.3, 1], [1, 1, 5, 5, 0.2, 1]],
        }
    )
    steps = []
    results = evaluate_detector(detector, folder, imgsz=64, progress=lambda *at: steps.append(at))
    whole, part, none = results
    assert [r.source for r in results] == ["whole", "part", "none"]
    assert detector.sizes == {64} and steps[-1] == (4, 4)
    assert (whole.pictures, whole.hands) == (2, 2)
    assert whole.ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert whole.recall == 0.5 and whole.false_positives == 0.5
    assert (whole.handedness, whole.sided) == (1.0, 1)
    expected = np.hypot(36.6, 36.6) / 21 / 40  # one of 21 joints is off, hand of 40 px
    assert whole.keypoint_error == pytest.approx(expected, rel=1e-5) and whole.posed == 1
    assert np.isnan(part.ap50) and np.isnan(part.false_positives)
    assert part.recall == 1.0 and part.handedness == 0.0
    assert np.isnan(none.ap50) and np.isnan(none.recall) and none.false_positives == 1.0
    table = format_table(results).splitlines()
    assert len(table) == 4 and len({len(line) for line in table}) == 1
    assert table[3].split()[:3] == ["none", "1", "0"] and "-" in table[3].split()


def test_missing_labels(tmp_path: Path) -> None:
    with pytest.raises(HandError, match=r"no labels\.jsonl"):
        evaluate_detector(Oracle({}), tmp_path)
