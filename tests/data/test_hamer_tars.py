from __future__ import annotations

import io
import pickle
import tarfile

import cv2
import numpy as np
import pytest

from wilor_yolo.data.formats import SetOptions, read_set, write_set
from wilor_yolo.data.raw_hand import ReadReport, to_sample
from wilor_yolo.errors import HandError
from wilor_yolo.shards import iterate_samples

SIZE = (320, 256)
K = np.array([[300.0, 0, 160], [0, 300, 128], [0, 0, 1]])


def entry(hand, loss=100.0, **more):
    """One hand as HaMeR's tars store it; joints around an arbitrary root."""
    points = hand.keypoints(K)
    low, high = points.min(0), points.max(0)
    joints = hand.joints - hand.joints[9] + 5.0
    return {
        "keypoints_2d": np.column_stack((points, np.full(21, 0.9))).astype(np.float32),
        "keypoints_3d": np.column_stack((joints, np.ones(21))).astype(np.float32),
        "center": (low + high) / 2,
        "scale": np.full(2, 2 * (high - low).max() / 200),
        "hand_pose": hand.own_pose.astype(np.float32),
        "betas": hand.betas.astype(np.float32),
        "right": np.array(float(hand.is_right)),
        "has_hand_pose": np.float32(1),
        "has_betas": np.array(True),
        "extra_info": {
            "fitting_loss": np.array({"reprojection_loss": np.float64(loss)}),
            "detection_npz_idx": 0,
        },
    } | more


def members(key, image, entries, protocol=4):
    mask = io.BytesIO()
    np.savez(mask, masks=np.ones((1, 4, 4), bool))
    return [
        (f"{key}.jpg", cv2.imencode(".jpg", image)[1].tobytes()),
        (f"{key}.data.pyd", pickle.dumps(entries, protocol=protocol)),
        (f"{key}.detection.npz", mask.getvalue()),
    ]


def write_tar(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def pair(posed_hand, photograph):
    right = posed_hand(0, at=(-0.12, 0, 0.5))
    left = posed_hand(1, is_right=False, at=(0.12, 0, 0.5))
    return right, left, photograph([right, left], K, SIZE)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_both_sides(tmp_path, pair, assert_true, assert_parameters, protocol):
    right, left, image = pair
    path = write_tar(
        tmp_path / "interhand26m-train" / "000000.tar",
        members("Capture0/cam1/image7", image, [entry(right), entry(left)], protocol),
    )
    report = ReadReport(strict=True)
    raw = list(read_set(SetOptions("hamer-tars", str(path.parent)), report))
    assert [hand.source for hand in raw] == ["interhand26m"] * 2
    for one, hand in zip(raw, (right, left), strict=True):
        sample = to_sample(one)
        assert_true(sample, hand)
        assert_parameters(sample, hand)
        assert sample.K is None
    paths = write_set(read_set(SetOptions("hamer-tars", str(path)), report), tmp_path / "o", report)
    assert len(list(iterate_samples(paths, strict=True))) == 2


def test_filters(tmp_path, pair):
    right, left, image = pair
    weak = entry(right)
    weak["keypoints_2d"][:3, 2] = 0.29
    few = entry(right)
    few["keypoints_2d"][4:, 2] = 0.2
    cases = [
        weak,
        few,
        entry(right, loss=31000.0),
        entry(right, loss=30999.0),
        entry(right, betas=np.array([0, 3.1] + [0] * 8)),
        entry(right, has_betas=np.array(0.0)),
        entry(right, extra_info={}),
        entry(left, keypoints_3d=np.zeros((21, 4))),
    ]
    path = write_tar(tmp_path / "t.tar", members("a", image, cases))
    report = ReadReport(strict=True)
    raw = {hand.key[-1]: hand for hand in read_set(SetOptions("hamer-tars", str(path)), report)}
    assert sorted(raw) == ["0", "3", "4", "5", "6", "7"]
    assert (raw["0"].keypoints_2d[:, 2] > 0).sum() == 18 and raw["0"].pose is not None
    # With unknown keypoints the box is the stored one, without its margin.
    points = right.keypoints(K)
    side = np.ptp(points, axis=0).max()
    np.testing.assert_allclose(raw["0"].box[2:] - raw["0"].box[:2], side)
    assert to_sample(raw["0"]).keypoints_2d[:, 2].astype(bool).sum() == 18
    assert raw["4"].pose is None and raw["5"].pose is None and raw["6"].pose is not None
    assert raw["4"].joints_3d is not None and raw["7"].joints_3d is None
    assert report.left_out == {
        "hands with 4 or fewer keypoints": 1,
        "hands whose parameters fit badly": 1,
    }


def test_broken_samples_are_named_and_nothing_runs(tmp_path, pair):
    right, _, image = pair

    class Evil:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    nan = entry(right)
    nan["keypoints_2d"][3, 0] = np.nan
    lacking = {k: v for k, v in entry(right).items() if k != "right"}
    ordered = entry(right)
    ordered["keypoints_3d"] = ordered["keypoints_3d"][::-1]
    files = [
        *members("good", image, [entry(right)]),
        *members("evil", image, [entry(right, x=Evil())]),
        *members("several", image, [nan, lacking, ordered, entry(right)]),
        ("nopicture.data.pyd", pickle.dumps([entry(right)])),
        ("nolabel.jpg", cv2.imencode(".jpg", image)[1].tobytes()),
        ("badjpeg.jpg", b"\xff\xd8nothing"),
        ("badjpeg.data.pyd", pickle.dumps([entry(right)])),
        ("notalist.jpg", b"x"),
        ("notalist.data.pyd", pickle.dumps({"a": 1})),
    ]
    path = write_tar(tmp_path / "t.tar", files)
    report = ReadReport()
    kept = []
    for hand in read_set(SetOptions("hamer-tars", str(path)), report):
        with report.guard(hand.name):
            kept.append(to_sample(hand).key.split("t_", 1)[1])
    assert [k[-6:] for k in kept] == ["good_0", "eral_3"]
    assert not (tmp_path / "ran").exists()
    text = "\n".join(report.faults)
    for words in (
        "t.tar: sample evil: data.pyd: it asks for builtins.exec",
        "several_0: keypoints_2d holds NaN",
        "several_1: the field 'right' is missing",
        "several_2: ",
        "sample nopicture: its picture is missing",
        "sample nolabel: its data.pyd is missing",
        "badjpeg_0: the picture is damaged",
        "sample notalist: data.pyd holds a dict",
    ):
        assert words in text, text
    assert report.fault_count == 8
    with pytest.raises(HandError, match="evil"):
        list(read_set(SetOptions("hamer-tars", str(path)), ReadReport(strict=True)))


def test_a_torn_tar_keeps_what_is_whole(tmp_path, pair):
    right, _, image = pair
    files = [f for i in range(3) for f in members(f"s{i}", image, [entry(right)])]
    path = write_tar(tmp_path / "t.tar", files)
    with tarfile.open(path) as tar:
        end = tar.getmember("s1.data.pyd").offset_data + 20
    path.write_bytes(path.read_bytes()[:end])
    report = ReadReport()
    raw = list(read_set(SetOptions("hamer-tars", str(path)), report))
    assert len(raw) == 1
    assert report.fault_count == 1 and f"{path}: torn after s1.jpg" in report.faults[0]
    # Cut between the picture and the labels: nothing is torn but the end is missing.
    whole = write_tar(tmp_path / "u.tar", files)
    with tarfile.open(whole) as tar:
        end = tar.getmember("s2.data.pyd").offset
    whole.write_bytes(whole.read_bytes()[:end])
    report = ReadReport()
    assert len(list(read_set(SetOptions("hamer-tars", str(whole)), report))) == 2
    assert report.fault_count == 1 and "the end marker is missing" in report.faults[0]
    with pytest.raises(HandError, match="no tars"):
        list(read_set(SetOptions("hamer-tars", str(tmp_path / "*.nothing")), report))
