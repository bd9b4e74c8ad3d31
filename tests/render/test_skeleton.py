from __future__ import annotations

import numpy as np

from wilor_yolo.render.skeleton import draw_skeleton
from wilor_yolo.skeleton import FINGER_COLOURS


def test_known_joints_and_their_bones_are_drawn():
    image = np.zeros((100, 100, 3), np.uint8)
    points = np.full((21, 2), 50.0)
    points[0], points[1], points[5] = (10, 10), (10, 90), (90, 10)
    confidence = np.zeros(21)
    confidence[[0, 1]] = 1.0
    confidence[5] = 0.4
    draw_skeleton(image, points, confidence, thickness=3)
    assert image[50, 10].tolist() == list(FINGER_COLOURS["thumb"])[::-1]
    assert image[10, 50].tolist() == list(FINGER_COLOURS["index"])[::-1]
    assert image[10, 10].tolist() == [255, 255, 255]
    assert not image[45:, 40:].any()  # unknown joints and their bones
    draw_skeleton(image, np.full((21, 2), np.nan))
    draw_skeleton(image, np.full((21, 2), 1e9))
