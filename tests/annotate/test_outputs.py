from __future__ import annotations

import numpy as np
import pytest

from wilor_yolo.annotate.fusion import FusedHand
from wilor_yolo.annotate.outputs import cut_view, label_lines
from wilor_yolo.geometry import default_intrinsics, project
from wilor_yolo.metrics.detection import UNKNOWN
from wilor_yolo.skeleton import LEFT


def hand(box: list[float], side: int = LEFT, keypoints: np.ndarray | None = None) -> FusedHand:
    return FusedHand(np.array(box, float), 0.9, side, 1.0, keypoints, 1.0, {"a": 0.9})


@pytest.mark.parametrize("box", [[60, 50, 90, 100], [-20, 10, 30, 40], [300, 200, 700, 650]])
def test_views_map_pixels_and_cameras(box: list[float]) -> None:
    """A camera point seen through the crop's K lands where its full-frame pixel moves to."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (480, 640, 3), np.uint8)
    view = cut_view(image, np.array(box, float))
    assert view.image.shape[0] == view.image.shape[1] <= 256
    K = default_intrinsics(640, 480).astype(np.float64)
    points = rng.uniform((-0.2, -0.2, 0.5), (0.2, 0.2, 1.0), (9, 3))
    through = project(points, view.intrinsics(K).astype(np.float64))
    assert through == pytest.approx(view.move(project(points, K)), abs=1e-2)
    middle = (np.array(box[:2]) + box[2:]) / 2
    assert view.move(middle) == pytest.approx(len(view.image) / 2, abs=1.0)


def test_a_small_view_is_a_plain_cut() -> None:
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    view = cut_view(image, np.array([100.0, 80, 140, 120]))
    x, y = view.move(np.array([120.0, 100.0])).astype(int)
    assert view.image[y, x].tolist() == image[100, 120].tolist()


def test_label_lines() -> None:
    points = np.tile([10.0, 20.0, 1.0], (21, 1))
    points[3] = 500, 20, 1.0  # outside the picture
    points[4] = 10, 20, 0.1  # hardly known
    hands = [
        hand([10, 10, 30, 50], keypoints=points),
        hand([90, 0, 130, 40], UNKNOWN),
        hand([200, 200, 220, 220]),
    ]
    first, second = label_lines(hands, [None, None, None], (100, 100)).splitlines()
    values = first.split()
    assert values[0] == "0" and [float(v) for v in values[1:5]] == [0.2, 0.3, 0.2, 0.4]
    triples = np.array(values[5:], float).reshape(21, 3)
    assert triples[0].tolist() == [0.105, 0.205, 2] and not triples[3:5].any()
    # Clipped to the picture, side unknown; the third hand lies outside altogether.
    assert [float(v) for v in second.split()[:5]] == [2, 0.95, 0.2, 0.1, 0.4]
    rejected = label_lines(hands[:1], ["residual"], (100, 100)).split()
    assert not np.array(rejected[5:], float).any()
