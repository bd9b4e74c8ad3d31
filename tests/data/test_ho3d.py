from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from wilor_yolo.data.formats import SetOptions, read_set
from wilor_yolo.data.ho3d import from_opengl
from wilor_yolo.data.mano_labels import ManoModels
from wilor_yolo.data.raw_hand import ReadReport, to_sample
from wilor_yolo.geometry import mirror_axis_angle
from wilor_yolo.mano.files import load_hand_model

K = np.array([[615.0, 0, 312], [0, 614, 241], [0, 0, 1]])
SIZE = (640, 480)
# MANO's joints then tips, written out so that this test does not lean on the code's permutation.
OURS_TO_HO3D = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]


def opengl(hand):
    """Joints and pose of the hand's own side as HO3D stores them: axes turned about x."""
    turn = np.diag([1.0, -1.0, -1.0])
    pose = hand.own_pose.copy()
    pose[:3] = cv2.Rodrigues(turn @ cv2.Rodrigues(pose[:3])[0])[0].ravel()
    return hand.joints[OURS_TO_HO3D] * [1, -1, -1], pose


def write_frame(root, sequence, frame, image, meta, suffix):
    folder = root / "train" / sequence
    for name in ("rgb", "meta"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "rgb" / f"{frame}{suffix}"), image)
    (folder / "meta" / f"{frame}.pkl").write_bytes(pickle.dumps(meta, protocol=2))
    with (root / "train.txt").open("a") as listing:
        listing.write(f"{sequence}/{frame}\n")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_ho3d(tmp_path, posed_hand, photograph, assert_true, assert_parameters, suffix):
    hand = posed_hand(3, at=(0.05, -0.02, 0.55))
    joints, pose = opengl(hand)
    meta = {
        "camMat": K,
        "handJoints3D": joints,
        "handPose": pose,
        "handBeta": hand.betas,
        "handTrans": np.zeros(3),
        "objName": "003_cracker_box",
        "objLabel": 2,
    }
    write_frame(tmp_path, "ABF10", "0000", photograph([hand], K, SIZE), meta, suffix)
    empty = {name: None for name in meta} | {"camMat": K}
    write_frame(tmp_path, "ABF10", "0001", photograph([hand], K, SIZE), empty, suffix)
    report = ReadReport(strict=True)
    (raw,) = read_set(SetOptions("ho3d", str(tmp_path)), report)
    assert report.left_out == {"frames nobody annotated": 1}
    sample = to_sample(raw)
    assert sample.key == "ho3d_ABF10_0000_right"
    assert_true(sample, hand)
    assert_parameters(sample, hand)


def test_h2o3d_has_both_hands(tmp_path, posed_hand, photograph, assert_true, assert_parameters):
    right = posed_hand(4, at=(0.12, 0, 0.6))
    left = posed_hand(4, is_right=False, at=(-0.12, 0.03, 0.7))  # one shape for both
    meta = {"camMat": K, "handBeta": right.betas}
    for name, hand in (("right", right), ("left", left)):
        meta[f"{name}HandJoints3D"], meta[f"{name}HandPose"] = opengl(hand)
    write_frame(tmp_path, "NN", "0007", photograph([right, left], K, SIZE), meta, ".jpg")
    second = meta | {"jointValidLeft": np.zeros(21), "jointValidRight": np.ones(21)}
    write_frame(tmp_path, "NN", "0008", photograph([right, left], K, SIZE), second, ".jpg")
    report = ReadReport(strict=True)
    models = ManoModels(right=load_hand_model())
    raw = list(read_set(SetOptions("h2o3d", str(tmp_path), models=models), report))
    assert [hand.is_right for hand in raw] == [True, False, True]
    for one, true in zip(raw[:2], (right, left), strict=True):
        sample = to_sample(one)
        assert_true(sample, true)
        assert_parameters(sample, true)
    assert report.left_out == {"hands with joints or angles marked as not valid": 1}
    # The right-hand view of the mirrored left hand has the mirrored wrist rotation.
    np.testing.assert_allclose(
        mirror_axis_angle(raw[1].pose.reshape(16, 3)).reshape(48), left.own_pose, atol=1e-6
    )


def test_parameters_that_contradict_the_joints_are_dropped(tmp_path, posed_hand, photograph):
    hand = posed_hand(5)
    joints, pose = opengl(hand)
    pose[3:] += 0.9
    meta = {"camMat": K, "handJoints3D": joints, "handPose": pose, "handBeta": hand.betas}
    write_frame(tmp_path, "S", "0000", photograph([hand], K, SIZE), meta, ".png")
    report = ReadReport(strict=True)
    models = ManoModels(right=load_hand_model())
    (raw,) = read_set(SetOptions("ho3d", str(tmp_path), models=models), report)
    assert raw.pose is None and raw.joints_3d is not None
    assert report.left_out == {"parameters that do not fit their joints": 1}


def test_broken_samples_are_named(tmp_path, posed_hand, photograph):
    hand = posed_hand(6)
    joints, pose = opengl(hand)
    good = {"camMat": K, "handJoints3D": joints, "handPose": pose, "handBeta": hand.betas}
    image = photograph([hand], K, SIZE)
    lacking = {k: v for k, v in good.items() if k != "handBeta"}
    turned = good | {"handJoints3D": hand.joints[OURS_TO_HO3D]}  # not OpenGL
    ordered = good | {"handJoints3D": hand.joints * [1, -1, -1]}  # already in our order
    for frame, meta in enumerate((good, lacking, turned, ordered)):
        write_frame(tmp_path, "S", f"{frame:04d}", image, meta, ".png")
    write_frame(tmp_path, "S", "0004", image, good, ".png")
    torn = tmp_path / "train/S/meta/0004.pkl"
    torn.write_bytes(torn.read_bytes()[:-300])

    class Evil:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    write_frame(tmp_path, "S", "0005", image, good | {"x": Evil()}, ".png")
    report = ReadReport()
    kept = []
    for raw in read_set(SetOptions("ho3d", str(tmp_path)), report):
        with report.guard(raw.name):
            kept.append(to_sample(raw).key)
    assert kept == ["ho3d_S_0000_right"] and not (tmp_path / "ran").exists()
    wanted = {
        "0001.pkl": "'handBeta' is missing",
        "0002.pkl": "behind the camera",
        "0003.pkl": "joint order",
        "0004.pkl": "damaged",
        "0005.pkl": "exec",
    }
    assert report.fault_count == len(wanted)
    for name, words in wanted.items():
        assert any(name in fault and words in fault for fault in report.faults), report.faults


def test_opengl_axes():
    points = np.array([[1.0, 2.0, -3.0]])
    np.testing.assert_array_equal(from_opengl(points), [[1, -2, 3]])
    np.testing.assert_array_equal(from_opengl(from_opengl(points)), points)


def test_labels_for_a_detector(tmp_path, posed_hand, photograph, detector_set, assert_labelled):
    right, left = posed_hand(3, at=(0.1, 0, 0.6)), posed_hand(4, is_right=False, at=(-0.1, 0, 0.6))
    meta = {"camMat": K, "handBeta": right.betas}
    for prefix, hand in (("rightHand", right), ("leftHand", left)):
        meta[f"{prefix}Joints3D"], meta[f"{prefix}Pose"] = opengl(hand)
    image = photograph([right, left], K, SIZE)
    write_frame(tmp_path, "S1", "0000", image, meta, ".jpg")
    write_frame(tmp_path, "S1", "0001", image, meta | {"leftHandJoints3D": None}, ".jpg")
    report, pictures = detector_set(SetOptions("h2o3d", str(tmp_path)))
    ((image, labels),) = pictures  # the second would teach its left hand as background
    assert report.left_out["pictures with a hand that has no label"] == 1
    for label, hand in zip(labels, (right, left), strict=True):
        assert_labelled(image, label, hand, K)
    # HO3D's own frames hold one hand.
    single = {"camMat": K, "handBeta": right.betas}
    single["handJoints3D"], single["handPose"] = opengl(right)
    write_frame(tmp_path / "ho3d", "S1", "0000", photograph([right], K, SIZE), single, ".png")
    options = SetOptions("ho3d", str(tmp_path / "ho3d"), split="train")
    report, pictures = detector_set(options)
    assert report.hands == {"ho3d, right": 1}
    image, (label,) = pictures[-1]  # beside the one of H2O3D, in the same folder
    assert_labelled(image, label, right, K)
