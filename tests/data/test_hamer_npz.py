from __future__ import annotations

import cv2
import numpy as np
import pytest

from wilor_yolo.data.formats import SetOptions, read_set
from wilor_yolo.data.raw_hand import ReadReport, to_sample
from wilor_yolo.errors import HandError

SIZE = (320, 256)
K = np.array([[300.0, 0, 160], [0, 300, 128], [0, 0, 1]])


@pytest.mark.parametrize("kind", ["S", "U", "O"])
def test_rows(tmp_path, posed_hand, photograph, assert_true, assert_parameters, kind):
    hands = [posed_hand(0), posed_hand(1, is_right=False)]
    images = tmp_path / "images"
    images.mkdir()
    for i, hand in enumerate(hands):
        cv2.imwrite(str(images / f"{i}.jpg"), photograph([hand], K, SIZE))
    points = np.stack([h.keypoints(K) for h in hands])
    arrays = {
        "imgname": np.array(["0.jpg", "1.jpg"]).astype(kind),
        "center": points.mean(1),
        "scale": np.ptp(points, axis=1).max(1),
        "right": np.array([1.0, 0.0]),
        "hand_pose": np.stack([h.own_pose for h in hands]),
        "has_hand_pose": np.ones(2),
        "betas": np.stack([h.betas for h in hands]),
        "has_betas": np.ones(2),
        "hand_keypoints_2d": np.concatenate((points, np.ones((2, 21, 1))), axis=2),
        "hand_keypoints_3d": np.concatenate(
            (np.stack([h.joints for h in hands]), np.ones((2, 21, 1))), axis=2
        ),
        "extra_info": np.array([{"a": 1}, {}], object),
    }
    path = tmp_path / "freihand_val.npz"
    np.savez(path, **arrays)
    options = SetOptions("hamer-npz", str(path), images=str(images))
    raw = list(read_set(options, ReadReport(strict=True)))
    for one, hand in zip(raw, hands, strict=True):
        sample = to_sample(one)
        assert_true(sample, hand)
        assert_parameters(sample, hand)


def test_missing_arrays(tmp_path, posed_hand):
    path = tmp_path / "TEST_newdays_img_all.npz"
    points = posed_hand(0).keypoints(K)
    keypoints = np.column_stack((points, np.arange(21) > 10))[None]
    np.savez(path, imgname=np.array(["a.jpg"]), center=points.mean(0)[None], scale=[[80.0, 90.0]],
             hand_keypoints_2d=keypoints)  # fmt: skip
    (raw,) = read_set(SetOptions("hamer-npz", str(path)), ReadReport(strict=True))
    assert raw.is_right and raw.pose is None and raw.joints_3d is None
    assert raw.picture == tmp_path / "a.jpg"
    np.testing.assert_allclose(raw.box[2:] - raw.box[:2], [80, 90])
    np.savez(path, imgname=np.array(["a.jpg"]), center=points.mean(0)[None])
    with pytest.raises(HandError, match=r"TEST_newdays_img_all.npz has no scale"):
        list(read_set(SetOptions("hamer-npz", str(path)), ReadReport()))
    path.write_bytes(b"nothing")
    with pytest.raises(HandError, match=r"no \.npz archive"):
        list(read_set(SetOptions("hamer-npz", str(path)), ReadReport()))
