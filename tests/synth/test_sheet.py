from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.synth.crop_scene import sample_crop
from wilor_yolo.synth.hand_mesh import FineHand
from wilor_yolo.synth.sheet import draw_sheet


def test_sheet_draws_labels_over_pictures():
    hand = FineHand()
    samples = [sample_crop(1, i, hand, 64, rays=4) for i in range(3)]
    plain, drawn = (draw_sheet(samples, columns=2, labels=way) for way in (False, True))
    assert plain.shape == drawn.shape == (128, 128, 3)
    np.testing.assert_array_equal(plain[:64, 64:], samples[1].image)
    assert (plain != drawn).any(-1).mean() > 0.02
