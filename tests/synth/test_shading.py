from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("numba")

import numba

from wilor_yolo.synth.light import sample_lighting
from wilor_yolo.synth.shading import Surface, shade


@numba.njit
def leave_behind(value):
    """Frees blocks of memory of the size of one colour, full of `value`."""
    blocks = [np.full(3, value, np.float32) for _ in range(16)]
    return len(blocks)


@pytest.mark.parametrize("garbage", [np.nan, np.inf])
def test_matt_surface_takes_nothing_from_old_memory(garbage):
    n = 5
    lighting = sample_lighting(np.random.default_rng(0))
    towards_eye = np.tile(np.array([0.0, 0.0, -1.0], np.float32), (n, 1))
    ones = np.ones((n, 3), np.float32)
    arguments = (
        lighting, Surface.matt(0.5 * ones), towards_eye, towards_eye, ones, ones[:, 0], ones[:, 0]
    )  # fmt: skip
    expected = shade(*arguments)
    leave_behind(np.float32(garbage))
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(shade(*arguments), expected)
