from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from wilor_yolo.data.formats import SetOptions, read_set
from wilor_yolo.data.mano_labels import ManoModels
from wilor_yolo.data.raw_hand import ReadReport, to_sample
from wilor_yolo.mano.files import load_hand_model

SIZE = (334, 512)
K = np.array([[1200.0, 0, 170], [0, 1210, 250], [0, 0, 1]])
# Ours, index by index of theirs: thumb tip ... thumb base, ..., wrist last.
OURS_TO_THEIRS = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0]
CAMROT = cv2.Rodrigues(np.array([0.3, -1.2, 0.5]))[0]
CAMPOS = np.array([120.0, -300.0, 850.0])  # mm, world


@pytest.fixture
def root(tmp_path, posed_hand, photograph):
    """A picture with both hands (the left one lacks a joint in a second entry) and a right one."""
    right = posed_hand(0, at=(0.05, -0.05, 0.9))
    left = posed_hand(1, is_right=False, at=(-0.03, 0.08, 1.0))
    model = load_hand_model()
    folder = tmp_path / "annotations" / "train"
    folder.mkdir(parents=True)
    world = np.concatenate(
        [(h.joints[OURS_TO_THEIRS] * 1000) @ CAMROT + CAMPOS for h in (right, left)]
    )

    def mano(hand):
        pose = hand.own_pose.copy()
        wrist = CAMROT.T @ cv2.Rodrigues(pose[:3])[0]  # world axes
        mean = model.hands_mean.reshape(15, 3) * ([1, 1, 1] if hand.is_right else [1, -1, -1])
        pose = np.concatenate((cv2.Rodrigues(wrist)[0].ravel(), pose[3:] - mean.ravel()))
        return {"pose": pose.tolist(), "shape": hand.betas.tolist(), "trans": [0, 0, 0]}

    about = {
        "campos": CAMPOS,
        "camrot": CAMROT,
        "focal": np.array([K[0, 0], K[1, 1]]),
        "princpt": K[:2, 2],
    }
    some = np.ones((42, 1))
    some[21 + 4] = 0  # the left index tip
    rootless = np.ones((42, 1))
    rootless[20] = 0  # the right wrist
    name = "Capture0/ROM01/cam400262/image{}.jpg"
    image = {"capture": 0, "camera": "400262", "seq_name": "ROM01", "width": 334, "height": 512}
    files = {
        "data": {
            "images": [
                image | {"id": i, "frame_idx": 10 + i, "file_name": name.format(10 + i)}
                for i in range(3)
            ],
            "annotations": [
                {"id": 7, "image_id": 0, "hand_type": "interacting", "joint_valid": [[1]] * 42},
                {"id": 8, "image_id": 1, "hand_type": "left", "joint_valid": some.tolist()},
                {"id": 9, "image_id": 2, "hand_type": "right", "joint_valid": rootless.tolist()},
            ],
        },
        "camera": {"0": {k: {"400262": v.tolist()} for k, v in about.items()}},
        "joint_3d": {"0": {str(f): {"world_coord": world.tolist()} for f in (10, 11, 12)}},
        "MANO_NeuralAnnot": {"0": {"10": {"right": mano(right), "left": mano(left)}, "11": None}},
    }
    for part, content in files.items():
        (folder / f"InterHand2.6M_train_{part}.json").write_text(json.dumps(content))
    for frame in (10, 11, 12):
        path = tmp_path / "images" / "train" / name.format(frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photograph([right, left], K, SIZE))
    return tmp_path, right, left


def mirrored(model):
    """The free hand's mean and components as a left MANO file has them."""
    from dataclasses import replace

    sign = np.tile([1, -1, -1], 15)
    return replace(
        model,
        side="left",
        hands_mean=model.hands_mean * sign,
        hands_components=model.hands_components * sign,
    )


def test_sides_order_millimetres_and_validity(root, assert_true):
    folder, right, left = root
    report = ReadReport(strict=True)
    raw = list(read_set(SetOptions("interhand", str(folder)), report))
    assert [hand.key for hand in raw] == [
        "interhand_train_7_right",
        "interhand_train_7_left",
        "interhand_train_8_left",
    ]
    assert_true(to_sample(raw[0]), right)
    assert_true(to_sample(raw[1]), left)
    partial = to_sample(raw[2])
    assert partial.keypoints_3d is None
    assert partial.keypoints_2d[8, 2] == 0 and partial.keypoints_2d[:, 2].sum() == 20
    assert report.left_out == {
        "hands whose wrist is not valid": 1,
        "3D joints of hands with some not valid": 1,
    }


def test_parameters_of_both_sides(root, assert_parameters):
    folder, right, left = root
    model = load_hand_model()
    models = ManoModels(right=model, left=mirrored(model))
    raw = list(read_set(SetOptions("interhand", str(folder), models=models), ReadReport(True)))
    assert_parameters(to_sample(raw[0]), right)
    assert_parameters(to_sample(raw[1]), left)
    assert raw[2].pose is None
    # One side's model leaves the other side without parameters, not with wrong ones.
    models = ManoModels(right=model)
    raw = list(read_set(SetOptions("interhand", str(folder), models=models), ReadReport(True)))
    assert raw[0].pose is not None and raw[1].pose is None


def test_broken_samples_are_named(root):
    folder, _, _ = root
    label = folder / "annotations" / "train" / "InterHand2.6M_train_data.json"
    data = json.loads(label.read_text())
    data["images"][1]["capture"] = 5  # no such camera
    del data["annotations"][2]["joint_valid"]
    data["images"][0]["width"] = 512
    label.write_text(json.dumps(data))
    report = ReadReport()
    for hand in read_set(SetOptions("interhand", str(folder)), report):
        with report.guard(hand.name):
            to_sample(hand)
    text = "\n".join(report.faults)
    assert report.fault_count == 4
    assert "annotation 8: the field '5' is missing" in text
    assert "annotation 9: the field 'joint_valid' is missing" in text
    assert "sample interhand_train_7_right: the picture has 334x512 px" in text


def test_labels_for_a_detector(root, detector_set, assert_labelled):
    folder, right, left = root
    report, pictures = detector_set(SetOptions("interhand", str(folder)))
    assert report.hands == {"interhand26m, right": 1, "interhand26m, left": 2}
    (both, labels), (alone, (only,)) = pictures
    for label, hand in zip(labels, (right, left), strict=True):
        assert_labelled(both, label, hand, K)
    assert_labelled(alone, only, left, K)
    assert only.keypoints[8].tolist() == [0, 0, 0]  # the index tip that is not valid


def test_a_picture_with_a_hand_that_has_no_label_is_left_out(root, detector_set):
    folder, _, _ = root
    path = folder / "annotations" / "train" / "InterHand2.6M_train_data.json"
    data = json.loads(path.read_text())
    data["annotations"][0]["joint_valid"][20] = [0]  # the right wrist
    path.write_text(json.dumps(data))
    report, pictures = detector_set(SetOptions("interhand", str(folder)))
    assert len(pictures) == 1
    assert report.left_out["pictures with a hand that has no label"] == 1
