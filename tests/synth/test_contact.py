from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

from wilor_yolo.synth.contact import travel_until_touch
from wilor_yolo.synth.meshes import box


def test_boxes_travel_the_gap_between_them():
    one = box(np.array([0.2, 0.2, 0.2]), 6)
    two = one.moved(np.eye(3), np.array([0.01, 0.02, 1.0]))
    standing, moving = (two.vertices, two.faces), (one.vertices, one.faces)
    way = np.array([0.0, 0, 1])
    assert travel_until_touch(moving, standing, way) == pytest.approx(0.8, abs=1e-5)
    assert travel_until_touch(moving, standing, -way) is None
