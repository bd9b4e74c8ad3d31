from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wilor_yolo.annotate.candidates import FrameName
from wilor_yolo.annotate.stored_finder import FileFinder, OpenPoseFinder, stored_finder
from wilor_yolo.errors import HandError
from wilor_yolo.metrics.detection import UNKNOWN
from wilor_yolo.skeleton import LEFT, RIGHT


def frame(path: str, index: int = 0) -> FrameName:
    return FrameName(Path(path).stem, index, path)


def test_json_of_detections(tmp_path: Path) -> None:
    points = [[float(i), 10.0] for i in range(21)]
    rows = [
        {"file": "day1/a.jpg", "hands": [{"box": [0, 1, 20, 30], "confidence": 0.7}]},
        {"file": "clip.mp4", "frame": 12, "hands": [{"keypoints": points, "side": "left"}]},
        {"file": "clip.mp4", "frame": 13, "hands": []},
    ]
    path = tmp_path / "contacthands.json"
    path.write_text(json.dumps({"detections": rows}))
    finder = stored_finder(path)
    assert isinstance(finder, FileFinder) and finder.name == "contacthands"
    found = finder.stored(frame("/data/day1/a.jpg"))
    assert found is not None and found.boxes.tolist() == [[0, 1, 20, 30]]
    assert found.sides.tolist() == [UNKNOWN]
    assert finder.stored(frame("/data/day2/a.jpg")) is None  # another picture of that name
    found = finder.stored(frame("/v/clip.mp4", 12))
    assert found is not None and found.sides.tolist() == [LEFT]
    assert found.boxes[0].tolist() == [-2, 8, 22, 12]  # padded by a tenth of 20
    nobody = finder.stored(frame("/v/clip.mp4", 13))
    assert nobody is not None and len(nobody) == 0  # looked at, and nothing seen
    assert finder.stored(frame("/v/clip.mp4", 14)) is None  # not looked at


def test_absolute_rows_and_relative_sources(tmp_path: Path, monkeypatch) -> None:
    rows = [{"file": str(tmp_path / "p" / "a.jpg"), "hands": [{"box": [0, 1, 20, 30]}]}]
    (tmp_path / "x.json").write_text(json.dumps({"detections": rows}))
    finder = FileFinder(tmp_path / "x.json")
    monkeypatch.chdir(tmp_path)
    for path in ("p/a.jpg", str(tmp_path / "p" / "a.jpg")):
        found = finder.stored(frame(path))
        assert found is not None and len(found) == 1
    assert finder.stored(frame("q/a.jpg")) is None


def test_rows_of_one_picture_are_joined(tmp_path: Path) -> None:
    rows = [
        {"file": "a.jpg", "hands": [{"box": [5, 5, 9, 9]}]},
        {"file": "day1/a.jpg", "hands": [{"box": [0, 1, 20, 30]}]},
        {"file": "day1/a.jpg", "hands": [{"box": [40, 1, 60, 30]}]},
    ]
    (tmp_path / "x.json").write_text(json.dumps({"detections": rows}))
    finder = FileFinder(tmp_path / "x.json")
    found = finder.stored(frame("/data/day1/a.jpg"))
    assert found is not None and found.boxes.tolist() == [[0, 1, 20, 30], [40, 1, 60, 30]]
    found = finder.stored(frame("/data/a.jpg"))
    assert found is not None and found.boxes.tolist() == [[5, 5, 9, 9]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"detections": [{"file": "a.jpg"}]}',
        '{"detections": [{"file": "a.jpg", "hands": [{"confidence": 1}]}]}',
        '{"detections": [{"file": "a.jpg", "hands": [{"box": [1, 2]}]}]}',
    ],
)
def test_malformed_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(HandError, match=r"x\.json"):
        FileFinder(path)


def test_openpose(tmp_path: Path) -> None:
    hand = np.zeros((21, 3))
    hand[:10] = [(100 + 10 * i, 50, 0.8) for i in range(10)]
    person = {
        "hand_left_keypoints_2d": [0.0] * 63,
        "hand_right_keypoints_2d": hand.ravel().tolist(),
    }
    data = {"people": [person, {"pose_keypoints_2d": []}]}
    (tmp_path / "clip_000000000007_keypoints.json").write_text(json.dumps(data))
    (tmp_path / "photo_keypoints.json").write_text("{}")
    finder = stored_finder(tmp_path)
    assert isinstance(finder, OpenPoseFinder)
    found = finder.stored(frame("/v/clip.mp4", 7))
    assert found is not None and len(found) == 1
    assert found.sides.tolist() == [RIGHT]
    assert found.confidence[0] == pytest.approx(0.8 * 10 / 21)
    assert found.boxes[0].tolist() == [91, 41, 199, 59]  # of the known ones, padded by 9
    assert found.keypoints is not None and not found.keypoints[0, 10:].any()
    assert finder.stored(frame("/v/clip.mp4", 8)) is None
    with pytest.raises(HandError, match="no OpenPose file"):
        finder.stored(frame("photo.jpg"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(HandError, match="no OpenPose files"):
        OpenPoseFinder(tmp_path / "empty")


def test_a_picture_whose_name_ends_in_digits(tmp_path: Path) -> None:
    hand = np.tile([10.0, 20.0, 0.9], (21, 1))
    for name, x in (
        ("COCO_train2014_000000000139", 10.0),
        ("clip_000000000003_000000000000", 50.0),
    ):
        hand[:, 0] = x + np.arange(21)
        data = {"people": [{"hand_left_keypoints_2d": hand.ravel().tolist()}]}
        (tmp_path / f"{name}_keypoints.json").write_text(json.dumps(data))
    (tmp_path / "clip_000000000003_keypoints.json").write_text('{"people": []}')  # clip's frame 3
    finder = OpenPoseFinder(tmp_path)
    assert len(finder.stored(frame("COCO_train2014_000000000139.jpg")) or ()) == 1
    assert len(finder.stored(frame("COCO_train2014.mp4", 139)) or ()) == 1
    assert len(finder.stored(frame("clip_000000000003.mp4", 0)) or ()) == 1  # not clip's frame 3
    assert finder.stored(frame("COCO_train2014_000000000139.jpg", 1)) is None
