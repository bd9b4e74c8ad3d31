from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml

from wilor_yolo.data.formats import SetOptions, read_set
from wilor_yolo.data.mano_labels import ManoModels
from wilor_yolo.data.raw_hand import ReadReport, to_sample
from wilor_yolo.mano.files import load_hand_model

SIZE = (640, 480)
K = np.array([[613.0, 0, 317], [0, 612, 243], [0, 0, 1]])
SERIAL = "836212060125"


@pytest.fixture
def hands(posed_hand):
    return [posed_hand(2, at=(0.05, 0, 0.7)), posed_hand(3, is_right=False, at=(-0.1, 0, 0.8))]


def left_model(model):
    sign = np.tile([1, -1, -1], 15)
    return replace(
        model, hands_mean=model.hands_mean * sign, hands_components=model.hands_components * sign
    )


@pytest.fixture
def root(tmp_path, hands, photograph):
    """One subject, five sessions; the first is a right and the second a left hand."""
    model = load_hand_model()
    calibration = tmp_path / "calibration"
    (calibration / "intrinsics").mkdir(parents=True)
    color = {"fx": 613.0, "fy": 612.0, "ppx": 317.0, "ppy": 243.0}
    (calibration / "intrinsics" / f"{SERIAL}_640x480.yml").write_text(yaml.dump({"color": color}))
    for number in range(5):
        hand = hands[number % 2]
        session = tmp_path / "20200709-subject-01" / f"20200709_14155{number}"
        camera = session / SERIAL
        camera.mkdir(parents=True)
        person = f"2020_subject-0{number % 2}_{'right' if hand.is_right else 'left'}"
        (calibration / f"mano_{person}").mkdir(exist_ok=True)
        (calibration / f"mano_{person}" / "mano.yml").write_text(
            yaml.dump({"betas": hand.betas.tolist()})
        )
        side = "right" if hand.is_right else "left"
        meta = {"mano_sides": [side], "mano_calib": [person], "num_frames": 2}
        (session / "meta.yml").write_text(yaml.dump(meta))
        own = model if hand.is_right else left_model(model)
        pca = (hand.own_pose[3:] - own.hands_mean) @ np.linalg.inv(own.hands_components)
        pose = np.concatenate((hand.own_pose[:3], pca, [0, 0, 0]))[None]
        labels = [
            {
                "joint_3d": hand.joints[None],
                "joint_2d": hand.keypoints(K)[None],
                "pose_m": pose,
            },
            {
                "joint_3d": np.full((1, 21, 3), -1.0),
                "joint_2d": np.full((1, 21, 2), -1.0),
                "pose_m": np.zeros((1, 51)),
            },
        ]
        for frame, arrays in enumerate(labels):
            cv2.imwrite(str(camera / f"color_{frame:06d}.jpg"), photograph([hand], K, SIZE))
            arrays = {k: v.astype(np.float32) for k, v in arrays.items()}
            np.savez(camera / f"labels_{frame:06d}.npz", **arrays)
    return tmp_path


def test_sides_and_splits(root, hands, assert_true):
    report = ReadReport(strict=True)
    raw = list(read_set(SetOptions("dexycb", str(root)), report))
    assert [hand.is_right for hand in raw] == [True, False, True, False]
    assert report.left_out == {"frames without a hand": 4}
    for one, hand in zip(raw, hands, strict=False):
        assert_true(to_sample(one), hand)
        assert one.pose is None
    held_out = list(read_set(SetOptions("dexycb", str(root), split="val"), ReadReport(True)))
    assert len(held_out) == 1 and "141554" in held_out[0].key
    assert not list(read_set(SetOptions("dexycb", str(root), split="test"), ReadReport(True)))


def test_principal_components_with_the_models(root, hands, assert_parameters):
    model = load_hand_model()
    models = ManoModels(right=model, left=left_model(model))
    raw = list(read_set(SetOptions("dexycb", str(root), models=models), ReadReport(True)))
    for one, hand in zip(raw, hands, strict=False):
        assert_parameters(to_sample(one), hand)


def test_broken_samples_are_named(root):
    camera = root / "20200709-subject-01" / "20200709_141550" / SERIAL
    label = camera / "labels_000000.npz"
    with np.load(label) as archive:
        arrays = dict(archive)
    np.savez(label, **(arrays | {"joint_2d": arrays["joint_2d"] + 40}))
    second = root / "20200709-subject-01" / "20200709_141551" / SERIAL / "labels_000000.npz"
    second.write_bytes(second.read_bytes()[:400])
    third = root / "20200709-subject-01" / "20200709_141552"
    (third / "meta.yml").write_text("mano_sides: [right]\n")
    report = ReadReport()
    for hand in read_set(SetOptions("dexycb", str(root)), report):
        with report.guard(hand.name):
            to_sample(hand)
    text = "\n".join(report.faults)
    assert report.fault_count == 3, text
    assert "141550_836212060125_000000: 3D joints project" in text
    assert "20200709_141551/836212060125/labels_000000.npz is no .npz archive" in text
    assert "20200709_141552/meta.yml: the field 'mano_calib' is missing" in text


def test_labels_for_a_detector(root, hands, detector_set, assert_labelled):
    report, pictures = detector_set(SetOptions("dexycb", str(root)))
    assert report.pictures == 4 and report.left_out["frames without a hand"] == 4
    for i, (image, (label,)) in enumerate(pictures):
        assert_labelled(image, label, hands[i % 2], K)
