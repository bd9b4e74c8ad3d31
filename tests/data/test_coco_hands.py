from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from wilor_yolo.data.formats import SetOptions, read_set
from wilor_yolo.data.raw_hand import ReadReport, to_sample
from wilor_yolo.errors import HandError

SIZE = (640, 480)
K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])


@pytest.fixture
def people(tmp_path, posed_hand, photograph):
    right = posed_hand(7, at=(-0.15, 0, 0.6))
    left = posed_hand(8, is_right=False, at=(0.15, 0, 0.6))
    cv2.imwrite(str(tmp_path / "000000000139.jpg"), photograph([right, left], K, SIZE))
    return tmp_path, right, left


def image(**more):
    return {"id": 139, "file_name": "000000000139.jpg", "width": 640, "height": 480} | more


def wholebody(right, left):
    entry = {"id": 5, "image_id": 139, "iscrowd": 0}
    for name, hand in (("righthand", right), ("lefthand", left)):
        points = hand.keypoints(K)
        low, high = points.min(0), points.max(0)
        entry[f"{name}_kpts"] = np.column_stack((points, np.full(21, 2.0))).ravel().tolist()
        entry[f"{name}_box"] = [*low, *(high - low)]
        entry[f"{name}_valid"] = True
    return entry


def test_coco_wholebody(people, assert_true):
    folder, right, left = people
    entry = wholebody(right, left)
    entry["lefthand_kpts"][3 * 6 + 2] = 0.0  # not labelled
    none = entry | {"id": 6, "righthand_valid": False, "lefthand_kpts": [0.0] * 63}
    (folder / "ann.json").write_text(
        json.dumps({"images": [image()], "annotations": [entry, none]})
    )
    report = ReadReport(strict=True)
    raw = list(read_set(SetOptions("coco-wholebody", str(folder / "ann.json")), report))
    assert [hand.key for hand in raw] == ["cocow_139_5_left", "cocow_139_5_right"]
    samples = [to_sample(hand) for hand in raw]
    assert_true(samples[1], right, keypoints_only=True)
    assert samples[0].keypoints_2d[6].tolist() == [0, 0, 0]
    assert samples[0].keypoints_2d[:, 2].sum() == 20 and samples[0].keypoints_3d is None
    # Box: the tight one of the file, 10 % of its larger side wider on every side.
    points = right.keypoints(K)
    pad = 0.1 * np.ptp(points, axis=0).max()
    np.testing.assert_allclose(raw[1].box[:2], points.min(0) - pad)
    np.testing.assert_allclose(raw[1].box[2:], points.max(0) + pad)
    assert report.left_out == {
        "hands not marked as valid": 1,
        "hands with fewer than 5 keypoints": 1,
    }


def test_halpe(people, assert_true):
    folder, right, left = people
    points = np.zeros((136, 3))
    points[94:115] = np.column_stack((left.keypoints(K), np.ones(21)))
    points[115:136] = np.column_stack((right.keypoints(K), np.ones(21)))
    images = folder / "val2017"
    images.mkdir()
    (folder / "000000000139.jpg").rename(images / "000000000139.jpg")
    entry = {"id": 1, "image_id": 139, "keypoints": points.ravel().tolist()}
    short = {"id": 2, "image_id": 139, "keypoints": [0.0] * 51}
    (folder / "halpe.json").write_text(
        json.dumps({"images": [image()], "annotations": [entry, short]})
    )
    report = ReadReport()
    options = SetOptions("halpe", str(folder / "halpe.json"), images=str(images))
    raw = list(read_set(options, report))
    assert_true(to_sample(raw[0]), left, keypoints_only=True)
    assert_true(to_sample(raw[1]), right, keypoints_only=True)
    assert report.fault_count == 2 and "sample halpe_139_2_left: 51 keypoint" in report.faults[0]


def test_broken_samples_are_named(people):
    folder, right, left = people
    good = wholebody(right, left)
    nan = good | {"id": 6, "lefthand_kpts": [float("nan")] * 42 + [1.0] * 21}
    lacking = {k: v for k, v in good.items() if k != "righthand_box"} | {"id": 7}
    lost = good | {"id": 8, "image_id": 140}
    path = folder / "ann.json"
    path.write_text(
        json.dumps(
            {
                "images": [image(), image(id=140, file_name="gone.jpg")],
                "annotations": [good, nan, lacking, lost],
            }
        )
    )
    report = ReadReport()
    kept = []
    for hand in read_set(SetOptions("coco-wholebody", str(path)), report):
        with report.guard(hand.name):
            kept.append(to_sample(hand).key)
    assert kept == [
        "cocow_139_5_left",
        "cocow_139_5_right",
        "cocow_139_6_right",
        "cocow_139_7_left",
    ]
    text = "\n".join(report.faults)
    assert report.fault_count == 4
    assert "sample cocow_139_6_left: keypoints_2d holds NaN" in text
    assert "sample cocow_139_7_right: the field 'righthand_box' is missing" in text
    assert "gone.jpg" in text and "cocow_140_8_left" in text
    path.write_text("{}")
    with pytest.raises(HandError, match="no images and annotations"):
        list(read_set(SetOptions("coco-wholebody", str(path)), report))


@pytest.mark.parametrize("name", ["coco-wholebody", "halpe"])
def test_labels_for_a_detector(people, detector_set, assert_labelled, name):
    folder, right, left = people
    entry = wholebody(right, left)
    if name == "halpe":
        points = np.zeros((136, 3))
        points[94:115, :2], points[115:, :2] = left.keypoints(K), right.keypoints(K)
        points[94:, 2] = 1
        entry = {"id": 1, "image_id": 139, "keypoints": points.ravel().tolist()}
    # The next person's left hand is at another place, his right one is not labelled.
    shift = np.tile([30.0, 20, 0], len(entry.get("keypoints", ())) // 3)
    other = entry | {"id": 6, "righthand_valid": False}
    if name == "halpe":
        moved = np.array(entry["keypoints"]) + shift
        moved[3 * 115 :] = 0
        other["keypoints"] = moved.tolist()
    else:
        moved = np.array(entry["lefthand_kpts"]).reshape(21, 3) + np.array([30, 20, 0])
        other["lefthand_kpts"] = moved.ravel().tolist()
        x, y, width, height = entry["lefthand_box"]
        other["lefthand_box"] = [x + 30, y + 20, width, height]
    (folder / "ann.json").write_text(
        json.dumps({"images": [image()], "annotations": [entry, other]})
    )
    options = SetOptions(name, str(folder / "ann.json"), images=str(folder))
    report, ((picture, labels),) = detector_set(options)
    assert report.pictures == 1 and [label.side for label in labels] == [0, 1, 0]
    assert_labelled(picture, labels[0], left, K, moved=0)
    assert_labelled(picture, labels[1], right, K, moved=0)
    np.testing.assert_allclose(labels[2].box, labels[0].box + np.tile([30, 20], 2), atol=0.01)
