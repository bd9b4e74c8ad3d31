from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.geometry import project
from wilor_yolo.synth import viewpoint
from wilor_yolo.synth.viewpoint import place_hand, sample_orientation


def _cloud(rng):
    return rng.uniform((-0.09, -0.02, -0.05), (0.1, 0.03, 0.1), (300, 3))


def test_orientations_are_rotations_and_cover_all_sides():
    rng = np.random.default_rng(0)
    turns = np.stack([sample_orientation(rng) for _ in range(400)])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (400, 1, 1)),
                               atol=1e-9)  # fmt: skip
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-9)
    back = turns[:, 2, 1]  # how far the back of the hand looks away from the camera
    assert (back > 0.5).mean() > 0.15 and (back < -0.5).mean() > 0.15


def test_raised_palm_shows_the_palm_with_the_thumb_to_our_right():
    """A right hand's palm before us has its thumb on our right."""
    turn = viewpoint._UPRIGHT_PALM
    fingers, back, thumb = turn @ [-1, 0, 0], turn @ [0, 1, 0], turn @ [0, 0, 1]
    np.testing.assert_allclose(fingers, [0, -1, 0])
    np.testing.assert_allclose(back, [0, 0, 1])
    np.testing.assert_allclose(thumb, [1, 0, 0])


def test_box_is_tight_and_of_the_drawn_size():
    for i in range(60):
        rng = np.random.default_rng(i)
        points = _cloud(rng) @ sample_orientation(rng).T
        view = place_hand(rng, points, 200)
        placed = points + view.translation
        assert placed[:, 2].min() > 0.05
        pixels = project(placed, view.K)
        low = np.maximum(pixels.min(0), view.photo[:2])
        high = np.minimum(pixels.max(0), view.photo[2:])
        np.testing.assert_allclose(view.box, [*low, *high], atol=1e-6)
        side = (view.box[2:] - view.box[:2]).max()
        assert 0.44 * 200 < side < 0.80 * 200
        assert view.box.min() > 0 and view.box.max() < 199
