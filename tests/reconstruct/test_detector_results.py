"""What a detector hands over becomes `Hands` and a camera matrix."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wilor_yolo.errors import HandError
from wilor_yolo.reconstruct.detector_results import read_result


class Boxes:
    xyxy = torch.tensor([[30.0, 40, 90, 110], [200, 120, 300, 200]])
    conf, cls, id = torch.tensor([0.9, 0.5]), torch.tensor([1.0, 0.0]), None

    def __len__(self):
        return 2


def _result(keypoints=None):
    image = np.zeros((240, 321, 3), np.uint8)
    return SimpleNamespace(orig_img=image, path="image0.jpg", boxes=Boxes(), keypoints=keypoints)


def test_keypoints_of_hands_are_taken_and_others_left():
    found = read_result(_result(SimpleNamespace(data=torch.ones(2, 21, 3))), None).hands
    assert found.keypoints_2d_detector.shape == (2, 21, 3)
    for keypoints in (None, SimpleNamespace(data=torch.zeros(2, 17, 3))):
        assert read_result(_result(keypoints), None).hands.keypoints_2d_detector is None


def test_given_cameras_are_used_and_wrong_ones_refused():
    K = np.array([[500, 0, 100], [0, 510, 90], [0, 0, 1]])
    assert np.array_equal(read_result(_result(), K).intrinsics, K)
    assert read_result(_result(), None).intrinsics[0, 0] == 321
    assert read_result(_result(), None).hands.source is None  # Ultralytics' name for an array
    nan, flat, skew = K.astype(float), K.copy(), K.copy()
    nan[0, 2], flat[2], skew[0, 1] = np.nan, 0, 6
    for wrong in (
        np.eye(4), np.zeros((3, 3)), 500.0, [[-1, 0, 0], [0, 1, 0], [0, 0, 1]], nan, flat, skew
    ):  # fmt: skip
        with pytest.raises(HandError, match=r"\(3, 3\) camera matrix"):
            read_result(_result(), wrong)
