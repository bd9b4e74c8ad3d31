from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.evaluate.detection import ask, measure, pictures_per_second, tabulate
from wilor_yolo.evaluate.detection_table import Runner, format_table, table_1
from wilor_yolo.evaluate.true_pictures import TruePicture, pictures_of_records
from wilor_yolo.metrics.detection import UNKNOWN, PictureHands
from wilor_yolo.skeleton import LEFT, RIGHT


class Oracle:
    """A detector that answers from a table: file name -> rows (x1 y1 x2 y2 score side)."""

    def __init__(self, answers: dict[str, list[list[float]]]) -> None:
        self.answers, self.asked = answers, []

    def __call__(self, file: Path, image: np.ndarray) -> PictureHands:
        assert image.shape == (80, 80, 3)
        self.asked.append(file.name)
        rows = np.array(self.answers[file.name], float).reshape(-1, 6)
        points = np.repeat(rows[:, None, :2], 21, axis=1)
        return PictureHands(rows[:, :4], rows[:, 5].astype(int), rows[:, 4], points)


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
    steps: list[tuple[int, int]] = []
    answers = ask(detector, pictures_of_records(folder), lambda *at: steps.append(at))
    whole, part, none, everything = tabulate(answers)
    assert [r.source for r in (whole, part, none, everything)] == ["whole", "part", "none", "all"]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (whole.pictures, whole.hands) == (2, 2)
    assert whole.ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    # Only the first hand's side is known: found at once, the side of the second is anybody's.
    assert whole.ap50_sides == 1.0 and np.isnan(part.ap50_sides)
    assert (whole.small, whole.medium, whole.large) == (0, 2, 0)
    assert np.isnan(whole.ap_small) and whole.ap_medium > whole.ap  # the stray box is small
    assert whole.recall == 0.5 and whole.false_positives == 0.5
    assert (whole.handedness, whole.sided) == (1.0, 1)
    expected = np.hypot(36.6, 36.6) / 21 / 40  # one of 21 joints is off, hand of 40 px
    assert whole.keypoint_error == pytest.approx(expected, rel=1e-5) and whole.posed == 1
    assert whole.pck == pytest.approx(20 / 21) and whole.ap_keypoints == 1.0
    assert np.isnan(part.ap50) and np.isnan(part.false_positives)
    assert part.recall == 1.0 and part.handedness == 0.0
    assert np.isnan(none.ap50) and np.isnan(none.recall) and none.false_positives == 1.0
    assert none.numbers()["ap50"] is None and none.numbers()["pictures"] == 1
    assert (everything.pictures, everything.hands, everything.false_positives) == (4, 3, 2 / 3)
    lines = format_table([whole, part, none]).splitlines()
    assert len(lines) == 9 and {len(line) for line in lines[:4]} == {len(lines[0])}
    assert lines[3].split()[:3] == ["none", "1", "0"] and "-" in lines[3].split()


def test_a_detector_without_sides_is_not_scored_on_them() -> None:
    box = np.array([[10.0, 10, 50, 50]])
    picture = TruePicture(Path("a"), "s", PictureHands(box, np.array([LEFT])))
    row = measure("s", [(picture, PictureHands(box, np.array([UNKNOWN]), np.array([0.9])))])
    assert row.ap50 == 1.0 and np.isnan(row.ap50_sides) and np.isnan(row.handedness)
    assert row.sided == 0 and np.isnan(row.ap_keypoints) and np.isnan(row.pck)
    wrong = measure("s", [(picture, PictureHands(box, np.array([RIGHT]), np.array([0.9])))])
    assert wrong.ap50_sides == 0.0 and (wrong.handedness, wrong.sided) == (0.0, 1)


def test_speed_counts_pictures(folder: Path) -> None:
    detector = Oracle({f"{i}.png": [] for i in range(5)})
    rate = pictures_per_second(detector, pictures_of_records(folder), seconds=0.02)
    assert rate > 0 and set(detector.asked[3:]) == {f"{i}.png" for i in range(4)}


def test_beside_the_paper(folder: Path) -> None:
    answers = {f"{i}.png": [[10, 10, 50, 50, 0.9, 0]] for i in range(4)}
    row = tabulate(ask(Oracle(answers), pictures_of_records(folder)))[0]
    lines = (table_1("whim", Runner("ours", 6.2, 3_000_000, 30.0), row) or "").splitlines()
    assert lines[1].split() == ["MediaPipe", "25", "25", "53.09", "12.01"]
    assert lines[-1].split() == ["ours", "6", "30", "100.00", "100.00"]
    assert table_1("egohands", Runner("ours", 1.0, None, 1.0), row) is None
    assert str(Runner("ours", float("nan"), None, float("nan"))) == "ours"
    assert "3.00 M parameters, 30.0 pictures/s" in str(Runner("ours", 6.2, 3_000_000, 30.0))


def test_missing_labels(tmp_path: Path) -> None:
    with pytest.raises(HandError, match=r"no labels\.jsonl"):
        pictures_of_records(tmp_path)
