from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.metrics.detection import KEYPOINT_SIGMAS, PictureHands
from wilor_yolo.metrics.detection_keypoints import (
    keypoint_average_precision,
    keypoint_error,
    oks,
    pck,
)


def true(*boxes: list[float], keypoints=None) -> PictureHands:
    array = np.array(boxes, float).reshape(-1, 4)
    return PictureHands(array, np.ones(len(boxes), int), None, keypoints)


def found(*rows: tuple[list[float], float], keypoints=None) -> PictureHands:
    boxes = np.array([box for box, _ in rows], float).reshape(-1, 4)
    scores = np.array([s for _, s in rows], float)
    return PictureHands(boxes, np.ones(len(rows), int), scores, keypoints)


def test_keypoint_error_by_hand() -> None:
    place = np.zeros((1, 21, 2))
    place[0, 5:] = np.nan  # unknown ones do not count
    off = np.zeros((1, 21, 2))
    off[0, :5] = [3, 4]
    off[0, 5:] = 99
    wide = [0, 0, 50, 10]
    pictures = [(true(wide, keypoints=place), found((wide, 0.9), keypoints=off))]
    assert keypoint_error(pictures) == (pytest.approx(0.1), 1)
    nothing = [(true(wide, keypoints=np.full((1, 21, 2), np.nan)), found((wide, 0.9)))]
    assert np.isnan(keypoint_error(nothing)[0])


def test_pck_by_hand() -> None:
    place = np.zeros((1, 21, 2))
    place[0, 20] = np.nan
    off = np.zeros((1, 21, 2))
    off[0, 1] = [3, 4]  # 5 of 50 px
    box = [0, 0, 50, 10]
    pictures = [(true(box, keypoints=place), found((box, 0.9), keypoints=off))]
    assert pck(pictures, 0.05) == (0.95, 20)
    assert pck(pictures, 0.1) == (1.0, 20)
    assert np.isnan(pck(pictures, 0.1, score=0.95)[0])


def test_keypoints_a_prediction_leaves_open_are_missed_not_at_the_corner() -> None:
    place = np.full((1, 21, 2), 30.0)
    given = place.copy()
    given[0, :3] = np.nan
    box = [0, 0, 50, 50]
    pictures = [(true(box, keypoints=place), found((box, 0.9), keypoints=given))]
    assert keypoint_error(pictures) == (0.0, 1)
    assert pck(pictures, 0.05) == (pytest.approx(18 / 21), 21)
    np.testing.assert_allclose(oks(given, place, np.array([1000.0])), [[18 / 21]])
    nothing = [
        (true(box, keypoints=place), found((box, 0.9), keypoints=np.full_like(place, np.nan)))
    ]
    assert np.isnan(keypoint_error(nothing)[0]) and keypoint_average_precision(nothing) == 0


def test_oks_by_hand() -> None:
    place = np.zeros((2, 21, 2))
    place[0, 1:] = np.nan
    place[1] = np.nan
    off = np.full((1, 21, 2), 99.0)
    off[0, 0] = [3, 4]
    expected = np.exp(-25 / (2 * 1000 * (2 * KEYPOINT_SIGMAS[0]) ** 2))
    np.testing.assert_allclose(oks(off, place, np.array([1000.0, 1000])), [[expected, 0]])


def test_hands_without_keypoints_are_neither_right_nor_wrong() -> None:
    first, second = [0, 0, 50, 50], [100, 0, 150, 50]
    place = np.random.default_rng(0).uniform(0, 50, (2, 21, 2))
    known = place.copy()
    known[1] = np.nan
    predicted = found((first, 0.8), (second, 0.9), keypoints=place)
    pictures = [(true(first, second, keypoints=known), predicted)]
    assert keypoint_average_precision(pictures) == 1.0
    elsewhere = found((first, 0.8), ([300, 0, 350, 50], 0.9), keypoints=place)
    assert keypoint_average_precision([(pictures[0][0], elsewhere)]) == pytest.approx(0.5)
    bare = found((first, 0.8))
    assert np.isnan(keypoint_average_precision([(pictures[0][0], bare)]))
    assert keypoint_average_precision([(pictures[0][0], found())]) == 0.0


def test_against_supervision() -> None:
    import supervision as sv
    from supervision.metrics import KeyPointMeanAveragePrecision

    rng = np.random.default_rng(5)
    metric = KeyPointMeanAveragePrecision(sigmas=KEYPOINT_SIGMAS, class_agnostic=True)
    pictures = []
    for _ in range(60):
        corner = np.array([[0.0, 0], [300, 0]]) + rng.uniform(0, 50, 2)
        size = rng.uniform(40, 160)
        place = corner[:, None] + rng.uniform(0, size, (2, 21, 2))
        boxes = np.concatenate((corner, corner + size), 1)
        noise = rng.uniform(0, 0.06, (3, 1, 1)) * size
        guess = place[[0, 1, 0]] + rng.normal(0, 1, (3, 21, 2)) * noise
        scores = rng.uniform(0, 1, 3)
        predicted = PictureHands(boxes[[0, 1, 0]], np.ones(3, int), scores, guess)
        pictures.append((true(*boxes, keypoints=place), predicted))
        metric.update(
            sv.KeyPoints(xy=guess, detection_confidence=scores, class_id=np.zeros(3, int)),
            sv.KeyPoints(
                xy=place, class_id=np.zeros(2, int), data={"area": np.full(2, 0.53 * size**2)}
            ),
        )
    stock = metric.compute()
    assert 0.1 < stock.map50_95 < 0.9
    assert keypoint_average_precision(pictures) == pytest.approx(stock.map50_95, abs=1e-3)
    assert keypoint_average_precision(pictures, [0.5]) == pytest.approx(stock.map50, abs=1e-3)
