from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wilor_yolo.errors import HandError
from wilor_yolo.records import keypoint_box, read_records
from wilor_yolo.skeleton import LEFT, RIGHT


def write(folder: Path, *rows: dict) -> Path:
    (folder / "labels.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return folder


PLAIN = {"file": "images/a.jpg", "source": "s", "width": 40, "height": 30}


def test_nothing_known(tmp_path) -> None:
    (record,) = read_records(write(tmp_path, PLAIN))
    assert record.file == tmp_path / "images/a.jpg" and (record.width, record.height) == (40, 30)
    assert record.boxes is None and record.found is None and record.true_hand is None
    assert not record.boxes_complete


def test_labels_that_are_no_text(tmp_path) -> None:
    (tmp_path / "labels.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HandError, match=r"labels\.jsonl is no text"):
        read_records(tmp_path)


def test_boxes_and_found_hands(tmp_path) -> None:
    points = np.arange(42, dtype=float).reshape(21, 2).tolist()
    row = PLAIN | {
        "boxes_xyxy": [[1, 2, 3, 4]],
        "boxes_complete": True,
        "mediapipe": [{"side": "left", "score": 0.7, "keypoints_px": points, "world_m": []}],
    }
    (record,) = read_records(write(tmp_path, row))
    assert record.boxes.tolist() == [[1, 2, 3, 4]] and record.boxes_complete
    (hand,) = record.found
    assert hand.side == LEFT and hand.score == 0.7 and hand.keypoints.tolist() == points


def test_measured_joints_are_projected(tmp_path) -> None:
    joints = np.tile([0.1, -0.05, 0.5], (21, 1))
    intrinsics = [[100, 0, 20], [0, 200, 15], [0, 0, 1]]
    row = PLAIN | {"joints_3d_m": joints.tolist(), "K": intrinsics, "side": "right"}
    (record,) = read_records(write(tmp_path, row))
    assert record.true_hand.side == RIGHT
    np.testing.assert_allclose(record.true_hand.keypoints, np.tile([40.0, -5.0], (21, 1)))
    np.testing.assert_allclose(record.joints_3d, joints)


def test_keypoint_box_is_padded() -> None:
    np.testing.assert_allclose(
        keypoint_box(np.array([[10.0, 10], [30, 20], [20, 15]])), [8, 8, 32, 22]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"file": None},
        {"width": "wide"},
        {"boxes_xyxy": [[1, 2, 3]]},
        {"mediapipe": [{"side": "both", "score": 1, "keypoints_px": [[0, 0]] * 21}]},
        {"mediapipe": [{"side": "left", "score": 1, "keypoints_px": [[0, 0]] * 20}]},
        {"joints_3d_m": [[0, 0, 1]] * 21},
    ],
)
def test_bad_rows_name_their_line(change: dict, tmp_path) -> None:
    write(tmp_path, PLAIN, PLAIN | change)
    with pytest.raises(HandError, match=r"labels\.jsonl:2"):
        read_records(tmp_path)


def test_broken_json_and_missing_file(tmp_path) -> None:
    with pytest.raises(HandError, match=r"no labels\.jsonl"):
        read_records(tmp_path)
    (tmp_path / "labels.jsonl").write_text("{")
    with pytest.raises(HandError, match=r"labels\.jsonl:1"):
        read_records(tmp_path)
