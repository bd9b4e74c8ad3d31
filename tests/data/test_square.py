from __future__ import annotations

import cv2
import numpy as np
import pytest

from wilor_yolo.data.raw_hand import RawHand, to_sample
from wilor_yolo.data.square import squared

K = np.array([[480.0, 0, 112], [0, 470, 110], [0, 0, 1]])


@pytest.mark.parametrize("side", [64, 200, 300])
@pytest.mark.parametrize("size", [(150, 224), (224, 150)])
def test_labels_stay_on_the_pixels(tmp_path, posed_hand, photograph, assert_true, side, size):
    hand = posed_hand(0, at=(0, 0, 0.9))
    K_ = K.copy()
    K_[:2, 2] = np.array(size) / 2
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), photograph([hand], K_, size))
    raw = RawHand("a", "t", path, path, True, joints_3d=hand.joints, intrinsics=K_)
    sample = squared(to_sample(raw), side)
    assert sample.image.shape == (side, side, 3)
    assert_true(sample, hand)
    assert squared(sample, side) is sample
